# SPDX-License-Identifier: Apache-2.0
"""Results become a document: an overview if there are several, and an article for each."""

from __future__ import annotations

from collections.abc import Sequence

from forwarder.report import figures, words
from forwarder.report.circumstances import circumstances
from forwarder.report.comparison import comparison
from forwarder.report.document import Article, Block, Document, Notice, Paragraph, Tiles
from forwarder.report.findings import findings
from forwarder.report.overview import day, overview
from forwarder.report.summary import summary
from forwarder.results.load import StoredResult
from forwarder.results.model import Result


def document(results: Sequence[StoredResult], base: StoredResult | None = None) -> Document:
    """The report of one result or more, each beside the base if there is one."""
    articles = [_article(stored, base) for stored in results]
    if len(articles) == 1:
        return Document(articles[0].title, tuple(articles))
    return Document(f"{len(articles)} results", (overview(results), *articles))


def _article(stored: StoredResult, base: StoredResult | None) -> Article:
    result = stored.result
    opening: list[Block] = [Paragraph(summary(result)), *_state(stored)]
    tiles = _tiles(result)
    if tiles:
        opening.append(Tiles(tiles))
    compared = (comparison(base, stored),) if base else ()
    return Article(
        result.dut.title,
        f"{result.test}, {day(result)}: {words.traffic(result.profile)}",
        tuple(opening),
        (*compared, *findings(stored, base), *circumstances(stored)),
    )


def _state(stored: StoredResult) -> list[Block]:
    """Whether the result may be published, and whether all of it is there."""
    result = stored.result
    notices: list[Block] = []
    if not result.complete:
        text = "It holds what was measured until then. Its figures are the best known so far, not limits."
        notices.append(Notice("Interrupted before its end", (text,), "bad"))
    if result.publishable:
        text = "The machine was quiet enough, and what was measured is the device's own."
        notices.append(Notice("Publishable", (text,), "good"))
    else:
        notices.append(Notice("Not publishable", result.why_not or ("no reason was recorded",), "bad"))
    if stored.remarks:
        notices.append(Notice("Not all files are there", stored.remarks, "warn"))
    return notices


def _tiles(result: Result) -> tuple[tuple[str, str, str], ...]:
    tiles = []
    for goal in result.goals:
        irregular = not all(run.regular for run in goal.runs)
        note = f"{words.goal_meaning(goal)}{', IRREGULAR' if irregular else ''}"
        if goal.stdev_per_s is not None:
            note += f", ± {figures.rate(goal.stdev_per_s)}"
        tiles.append((words.goal_title(goal), figures.rate(goal.mean_per_s), note))
    if result.mrr is not None:
        note = f"offered {figures.rate(result.mrr.intended_per_s)}"
        tiles.append(("MRR", figures.rate(result.mrr.mean_per_s), note))
    for one in result.latency:
        if one.direction == "forward" and one.load.endswith(("_50", "_90")):
            note = f"p99 {figures.time(one.path.p99_ns)}"
            tiles.append((f"median at {words.load_title(one.load)}", figures.time(one.path.p50_ns), note))
    if result.burst is not None:
        note = f"at {figures.rate(result.burst.load_per_s)}"
        tiles.append(("longest burst", f"{result.burst.mean_frames:,.0f} frames", note))
    if result.soak is not None:
        tiles.append(("lost in the soak", f"{result.soak.lost:,}", f"of {result.soak.frames:,} frames"))
    if result.outages:
        worst = max(result.outages, key=lambda outage: outage.lost)
        tiles.append(("costliest event", f"{worst.lost:,} frames", worst.event))
    selftest = result.tester.selftest
    if selftest is not None:
        tiles.append(
            ("the tester's maximum", figures.rate(selftest.max_load_per_s), "self-test, without a device")
        )
    return tuple(tiles)

# SPDX-License-Identifier: Apache-2.0
"""Several results beside each other: the main figure of each."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from forwarder.report import axis, figures, words
from forwarder.report.chart import BLUE, Bar, Chart
from forwarder.report.document import Article, Block, Cell, Section, Table, Toned
from forwarder.report.sections.cells import EACH_WAY
from forwarder.results.load import StoredResult
from forwarder.results.model import Result
from forwarder.stats.section import Column


def overview(results: Sequence[StoredResult]) -> Article:
    columns = (
        Column("result", left=True),
        Column("test", left=True),
        Column("frames, bytes", left=True, spare=4),
        Column("figure", left=True),
        Column("value"),
        Column("median at 50 %", spare=1),
        Column("p99 at 50 %", spare=2),
        Column("publishable", left=True),
        Column("begun", left=True, spare=3),
    )
    rows: list[tuple[Cell, ...]] = []
    bars: list[tuple[str, str, float]] = []
    for stored in results:
        result = stored.result
        head: tuple[Cell, ...] = (result.dut.title, result.test, result.profile.sizes)
        half = next((one.path for one in result.latency if one.load.endswith("_50")), None)
        tail: tuple[Cell, ...] = (
            figures.time(half.p50_ns if half else None),
            figures.time(half.p99_ns if half else None),
            Toned("yes", "good") if result.publishable else Toned("NO", "bad"),
            day(result),
        )
        named = [(words.goal_title(goal), goal.mean_per_s) for goal in result.goals]
        named += [("MRR", result.mrr.mean_per_s)] if result.mrr else []
        for title, per_s in named or [("", None)]:
            rows.append((*head, title, figures.rate(per_s), *tail))
            if per_s is not None:
                bars.append((f"{title} {result.dut.title}", figures.rate(per_s), per_s))
            head, tail = ("", "", ""), ("", "", "", "")
    chart = _chart(bars)
    blocks: tuple[Block, ...] = (*([chart] if chart else []), Table(columns, tuple(rows)))
    return Article(f"{len(results)} results", "the main figure of each", (), (Section("Overview", blocks),))


def _chart(rows: Sequence[tuple[str, str, float]]) -> Chart | None:
    """One figure of several results: name, label, frames a second."""
    if len(rows) < 2:
        return None
    return Chart(
        "Throughput of all results",
        "A bar for each result and goal, up to the mean of its lower bounds.",
        axis.linear(EACH_WAY, 0, max(per_s for _, _, per_s in rows), figures.round_rate),
        axis.rows([(row, name) for row, (name, _, _) in enumerate(rows)]),
        tuple(
            Bar(per_s, row, BLUE, label, f"{name}: {label}") for row, (name, label, per_s) in enumerate(rows)
        ),
        rows=len(rows),
    )


def day(result: Result) -> str:
    return datetime.fromisoformat(result.started).strftime("%Y-%m-%d %H:%M")

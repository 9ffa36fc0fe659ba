# SPDX-License-Identifier: Apache-2.0
"""The results of a lab become a document: the matrix, what changed over time, the hosts."""

from __future__ import annotations

import re
from collections.abc import Sequence

from forwarder.report.document import Article, Block, Document, Notice, Paragraph, Tiles
from forwarder.report.lab.changes import changes, regressions, trends
from forwarder.report.lab.hosts import hosts, results
from forwarder.report.lab.matrix import matrix
from forwarder.report.lab.series import CellRun, CellSeries, cell_series
from forwarder.results.lab import Lab

_MOST_REASONS = 20  # of a notice


def lab_document(lab: Lab) -> Document:
    """Raises ResultError for a result that can't be read, TtfwdError where jumpavg is missing."""
    cells = cell_series(lab)
    over_time = trends(cells)
    worse = regressions(over_time)
    opening: list[Block] = [
        Paragraph(_summary(lab, cells)),
        *_notices(cells, worse),
        _tiles(lab, cells, worse),
    ]
    sections = (matrix(cells), changes(over_time), hosts(lab), results(lab, cells))
    title = f"Lab {lab.path.resolve().name}"
    return Document(title, (Article(title, _period(cells), tuple(opening), sections),))


def _summary(lab: Lab, cells: Sequence[CellSeries]) -> str:
    testers, duts = ({getattr(one.cell, key) for one in cells} for key in ("tester", "dut"))
    valid = sum(one.reason is None and bool(one.runs) for one in cells)
    return (
        f"{valid} of {len(cells)} cells have a valid result. "
        f"The matrix is of {_count(len(testers), 'tester')} and {_count(len(duts), 'device')} under test."
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _period(cells: Sequence[CellSeries]) -> str:
    days = sorted(run.day for one in cells for run in one.runs)
    return f"results from {days[0]} to {days[-1]}" if days else "no result yet"


def _notices(cells: Sequence[CellSeries], worse: Sequence[str]) -> list[Block]:
    notices: list[Block] = []
    missing = [f"{one.cell.id}: {one.reason}" for one in cells if one.reason]
    if missing:
        notices.append(Notice(f"No valid result: {_count(len(missing), 'cell')}", _some(missing), "bad"))
    if worse:
        notices.append(Notice(f"Worse than before: {_count(len(worse), 'figure')}", _some(worse), "bad"))
    doubtful = [one.runs[-1] for one in cells if one.runs and not one.runs[-1].publishable]
    if doubtful:
        title = f"Not publishable: {_count(len(doubtful), 'latest result')}"
        notices.append(Notice(title, _some(_alike(doubtful)), "warn"))
    return notices


def _alike(doubtful: Sequence[CellRun]) -> list[str]:
    """Reasons that differ in their figures alone are one. The most frequent comes first."""
    found: dict[str, list[str]] = {}
    for run in doubtful:
        for reason in run.why_not:
            found.setdefault(re.sub(r"\d[\d.,]*", "#", reason), []).append(reason)
    alike = sorted(found.values(), key=len, reverse=True)
    return [
        f"{reasons[0]} ({_count(len(reasons), 'cell')}{', or alike' if len(set(reasons)) > 1 else ''})"
        for reasons in alike
    ]


def _some(lines: Sequence[str]) -> tuple[str, ...]:
    more = len(lines) - _MOST_REASONS
    return (*lines[:_MOST_REASONS], f"and {more} more") if more > 0 else tuple(lines)


def _tiles(lab: Lab, cells: Sequence[CellSeries], worse: Sequence[str]) -> Tiles:
    return Tiles(
        (
            ("cells", f"{len(cells)}", f"{sum(bool(one.runs) for one in cells)} measured"),
            ("results", f"{sum(len(one.runs) for one in cells):,}", "kept of all cells"),
            ("hosts", f"{len(lab.hosts)}", "that answered last"),
            ("regressions", f"{len(worse)}", "that still stand"),
        )
    )

# SPDX-License-Identifier: Apache-2.0
"""A steady load for a long time."""

from __future__ import annotations

from collections.abc import Sequence

from forwarder.report import axis, figures
from forwarder.report.chart import BLUE, Chart, Line
from forwarder.report.document import Cell, Section, Table
from forwarder.report.sections.cells import PAIRS, alarming
from forwarder.results.model import Result, Soak

_MOST_POINTS = 160  # of a curve: more can't be seen


def soak(result: Result) -> Section | None:
    found = result.soak
    if found is None:
        return None
    sure = figures.ratio(found.loss_ratio_below)
    rows: tuple[tuple[Cell, ...], ...] = (
        ("load", figures.rate(found.load_per_s)),
        ("for", f"{found.duration_s:,.0f} s"),
        ("frames", f"{found.frames:,}"),
        ("lost", alarming(found.lost)),
        ("loss ratio, with 95 % confidence", f"below {sure}"),
        ("seconds with loss", f"{sum(lost > 0 for lost in found.lost_each_second):,}"),
    )
    chart = _chart(found)
    table = Table(PAIRS, rows)
    return Section("Soak", (*([chart] if chart else []), table))


def _chart(found: Soak) -> Chart | None:
    """Frames lost in each second."""
    if not found.lost_each_second:
        return None
    points = list(enumerate(found.lost_each_second))
    return Chart(
        "Lost in each second",
        "How many frames were lost in each second; of a long soak, in the worst second of each stretch.",
        axis.linear("seconds", 0, len(points), lambda s: f"{s:.0f} s"),
        axis.linear("frames lost", 0, max(*found.lost_each_second, 1), lambda frames: f"{frames:,.0f}"),
        (Line("lost", BLUE, _peaks(points)),),
    )


def _peaks(points: Sequence[tuple[int, int]]) -> tuple[tuple[float, float], ...]:
    """The highest of each stretch of seconds, so that an hour is no longer a curve than a minute."""
    stretch = -(-len(points) // _MOST_POINTS)
    parts = (points[first : first + stretch] for first in range(0, len(points), stretch))
    return tuple((float(part[0][0]), float(max(lost for _, lost in part))) for part in parts)

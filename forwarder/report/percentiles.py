# SPDX-License-Identifier: Apache-2.0
"""The percentiles of times as a curve."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from forwarder.report import axis, figures
from forwarder.report.chart import Chart, Line
from forwarder.results.model import Distribution

_MOST_POINTS = 160  # of a curve: more can't be seen


def percentile_chart(title: str, description: str, lines: Sequence[Line], samples: int) -> Chart:
    times = [ns for line in lines for _, ns in line.points]
    return Chart(
        title,
        description,
        axis.percentiles("share of frames that took no longer", samples),
        axis.logarithmic("time", times, figures.round_time),
        tuple(lines),
    )


def curve(times: Distribution) -> tuple[tuple[float, float], ...]:
    """The percentile curve: of the buckets, or of the quantiles alone. Fraction of frames, ns."""
    if not times.buckets:
        return quantile_pairs(times)
    total = sum(count for _, count in times.buckets)
    seen = accumulate(count for _, count in times.buckets)
    # All frames would be at infinity: the last one stands at all but half a frame.
    points = [
        (min(so_far / total, 1 - 0.5 / total), float(ns))
        for so_far, (ns, _) in zip(seen, times.buckets, strict=True)
    ]
    return tuple(_thinned(points, axis.percentiles("", total)))


def _thinned(points: Sequence[tuple[float, float]], x: axis.Axis) -> list[tuple[float, float]]:
    """Those of the points that stand apart; the first and the last stay."""
    kept = [points[0]]
    for point in points[1:-1]:
        if x.place(point[0]) - x.place(kept[-1][0]) >= 1 / _MOST_POINTS:
            kept.append(point)
    return kept if len(points) == 1 else [*kept, points[-1]]


def quantile_pairs(times: Distribution) -> tuple[tuple[float, int], ...]:
    """The quantiles that were measured: fraction and ns."""
    known = (
        (0.5, times.p50_ns),
        (0.9, times.p90_ns),
        (0.99, times.p99_ns),
        (0.999, times.p999_ns),
        (0.9999, times.p9999_ns),
    )
    return tuple((part, ns) for part, ns in known if ns is not None)

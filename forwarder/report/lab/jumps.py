# SPDX-License-Identifier: Apache-2.0
"""Where a figure jumped, by jumpavg: FD.io CSIT's library, which their trending uses.

It divides the results into groups of consecutive ones, each with an average of its own, so that all of it
takes the fewest bits to tell. A new group is a jump. Noise costs bits, too: an outlier among others is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from forwarder.errors import TtfwdError
from forwarder.report.lab.series import Point, Series


@dataclass(frozen=True, slots=True)
class Group:
    """Consecutive results that don't differ beyond their noise."""

    points: tuple[Point, ...]
    first: int  # its place in the series
    average: float


@dataclass(frozen=True, slots=True)
class Jump:
    """From one group to the next."""

    before: Group
    after: Group
    is_regression: bool

    @property
    def change_ratio(self) -> float | None:
        if not self.before.average:
            return None
        return (self.after.average - self.before.average) / self.before.average


def groups(series: Series) -> tuple[Group, ...]:
    """Raises TtfwdError where the package is missing."""
    found, first = [], 0
    for size, average in _classify([point.value for point in series.points]):
        found.append(Group(series.points[first : first + size], first, average))
        first += size
    return tuple(found)


def _classify(values: Sequence[float]) -> list[tuple[int, float]]:
    """Sizes and averages of the groups. A figure that is 0 all the time has no unit that could be found."""
    try:
        from jumpavg import classify
    except ImportError:
        raise TtfwdError("this report needs the package jumpavg: pip install 'ttfwd[bench]'") from None
    if not any(values):
        return [(len(values), 0.0)]
    return [(len(group.run_list), group.stats.avg) for group in classify(values)]


def jumps(series: Series, found: Sequence[Group]) -> tuple[Jump, ...]:
    return tuple(
        Jump(before, after, (after.average < before.average) == series.higher_is_better)
        for before, after in pairwise(found)
    )

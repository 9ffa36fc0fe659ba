# SPDX-License-Identifier: Apache-2.0
"""What a search knows of one goal at some moment. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from forwarder.bench.goals import SearchGoal

_ROUNDING = 1e-9
_LOADS_AT_FIRST = 8  # about so many loads are tried where nothing is known
_LOADS_TO_CONFIRM = 2  # the bounds of a coarser goal


@dataclass(frozen=True, slots=True)
class Bounds:
    """Loads are frames a second in one direction; None where there is no such bound."""

    lower_per_s: float | None
    upper_per_s: float | None
    conditional_per_s: float | None
    duration_sum_s: float  # of the trials at each load that it takes to be a bound

    @property
    def known(self) -> int:
        """How many of the two there are."""
        return (self.lower_per_s is not None) + (self.upper_per_s is not None)

    @property
    def width(self) -> float | None:
        """Of the upper bound (RFC 9971: relative width)."""
        if self.lower_per_s is None or self.upper_per_s is None:
            return None
        return (self.upper_per_s - self.lower_per_s) / self.upper_per_s

    def reached(self, goal: SearchGoal) -> bool:
        width = self.width
        return (
            width is not None
            and width <= goal.width * (1 + _ROUNDING)
            and self.duration_sum_s >= goal.duration_sum_s
        )

    def missing(self, goal: SearchGoal) -> list[str]:
        """What keeps it from being reached, in words; nothing if neither bound is known."""
        found = []
        if self.known and self.duration_sum_s < goal.duration_sum_s:
            of_s = f"{self.duration_sum_s:.3g} s of trials"
            found.append(f"at each load {of_s} instead of {goal.duration_sum_s:g} s")
        if self.width is not None and self.width > goal.width:
            found.append(f"the bounds are {self.width:.2%} apart instead of {goal.width:.2%}")
        return found

    def left_s(self, goal: SearchGoal) -> float:
        """About how long trials must go on for the goal.

        Each load takes a bit more than half of the duration sum: what most of its trials say is known then.
        """
        if self.reached(goal):
            return 0.0
        width = self.width
        loads = _LOADS_AT_FIRST if width is None else max(math.ceil(math.log2(width / goal.width)), 0)
        if self.duration_sum_s < goal.duration_sum_s:
            loads += _LOADS_TO_CONFIRM
        return loads * goal.duration_sum_s * max(goal.exceed_ratio, 1 - goal.exceed_ratio)

# SPDX-License-Identifier: Apache-2.0
"""Whether two measurements of one figure differ, or whether that is noise. Pure.

What is asked, in this order:

1. Are both the DUT's figures, and measured under the same conditions? Else there is nothing to compare.
2. Is the difference greater than what the measurement itself can tell (a search's width, a bucket)?
3. Both were repeated: does Welch's t-test call the means different, at 5 %?
4. One of them was not: whether they differ by more than from run to run nobody knows, so "perhaps".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import atan, cos, exp, inf, lgamma, pi, sqrt
from statistics import fmean, variance
from typing import Literal

from forwarder.report import figures
from forwarder.report.measures import Measure

Outcome = Literal["better", "worse", "perhaps better", "perhaps worse", "can't tell", "not comparable"]

SIGNIFICANCE = 0.05


@dataclass(frozen=True, slots=True)
class Difference:
    base: Measure
    now: Measure
    outcome: Outcome
    how: str  # why that is the outcome

    @property
    def change_ratio(self) -> float | None:
        """By how much of the base the figure differs; None where that has no answer."""
        if self.now.value is None or not self.base.value:
            return None
        return (self.now.value - self.base.value) / self.base.value


def compare(base: Measure, now: Measure) -> Difference:
    outcome, how = _outcome(base, now)
    return Difference(base, now, outcome, how)


def _outcome(base: Measure, now: Measure) -> tuple[Outcome, str]:
    if base.value is None or now.value is None:
        return "not comparable", f"{'the base' if base.value is None else 'this run'} has no such figure"
    if base.conditions != now.conditions:
        return "not comparable", f"the base's goal is another one: {base.conditions}"
    if base.caveat or now.caveat:
        caveats = [f"{who}: {one.caveat}" for who, one in (("base", base), ("this run", now)) if one.caveat]
        return "can't tell", "; ".join(caveats)
    greatest = max(abs(base.value), abs(now.value))
    resolution = max(base.resolution, now.resolution)
    if abs(now.value - base.value) <= resolution * greatest:
        if not resolution:
            return "can't tell", "equal"
        return (
            "can't tell",
            f"within {figures.ratio(resolution)}: the measurement tells no smaller difference",
        )
    better = (now.value > base.value) == (now.better == "higher")
    if len(base.samples) > 1 and len(now.samples) > 1:
        p = welch_p(base.samples, now.samples)
        known = f"p = {p:.2g}" if p >= 0.001 else "p < 0.001"
        told = f"Welch's t-test, {len(base.samples)} and {len(now.samples)} {now.sampled}: {known}"
        if p < SIGNIFICANCE:
            return "better" if better else "worse", told
        return "can't tell", f"{told}: within the spread"
    return "perhaps better" if better else "perhaps worse", "not repeated: how much runs differ isn't known"


def welch_p(first: Sequence[float], second: Sequence[float]) -> float:
    """The two-sided p value of Welch's t-test; each has two samples at least.

    Samples without any spread (a count that is the same every time) leave no doubt: 0, or 1 if all are equal.
    """
    parts = [variance(samples) / len(samples) for samples in (first, second)]
    apart = abs(fmean(first) - fmean(second))
    if not sum(parts):
        return 0.0 if apart else 1.0
    freedom = sum(parts) ** 2 / sum(
        part**2 / (len(samples) - 1) for part, samples in zip(parts, (first, second), strict=True)
    )
    return student_p(apart / sqrt(sum(parts)), freedom)


def student_p(t: float, freedom: float) -> float:
    """How likely Student's t is to be farther from 0 than `t`, by Simpson's rule.

    With x = sqrt(freedom) tan(angle) the density is cos(angle)^(freedom - 1): smooth, and it ends at pi/2.
    """
    if t == inf:
        return 0.0
    begin, steps = atan(t / sqrt(freedom)), 2_000
    width = (pi / 2 - begin) / steps
    scale = exp(lgamma((freedom + 1) / 2) - lgamma(freedom / 2)) / sqrt(pi)
    last = 1.0 if freedom == 1 else 0.0  # cos(pi/2) isn't quite 0 here
    heights = [*(pow(cos(begin + step * width), freedom - 1) for step in range(steps)), last]
    area = (heights[0] + heights[-1] + 4 * sum(heights[1::2]) + 2 * sum(heights[2:-1:2])) * width / 3
    return min(float(2 * scale * area), 1.0)

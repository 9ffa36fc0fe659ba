# SPDX-License-Identifier: Apache-2.0
"""What the tests have measured so far. Each adds its part as soon as it has it: an interruption leaves it."""

from __future__ import annotations

from dataclasses import dataclass, field

from forwarder.bench.goals import SearchGoal
from forwarder.results.model import Burst, GoalRun, Latency, LossPoint, Outage, Rate, Selftest, Soak


@dataclass(slots=True)
class Parts:
    selftest: Selftest | None = None
    goals: dict[SearchGoal, list[GoalRun]] = field(default_factory=dict)
    mrr: Rate | None = None
    loss_curve: list[LossPoint] = field(default_factory=list)
    latency: list[Latency] = field(default_factory=list)
    burst: Burst | None = None
    soak: Soak | None = None
    outages: list[Outage] = field(default_factory=list)
    deviations: list[str] = field(default_factory=list)  # from the standards, each once
    why_not: list[str] = field(default_factory=list)  # what a test itself has against publishing

    def add_run(self, goal: SearchGoal, run: GoalRun) -> None:
        self.goals.setdefault(goal, []).append(run)

    def lower_per_s(self, *, lossless: bool) -> float | None:
        """The least of the lower bounds that were found without loss (NDR), or with some (PDR)."""
        found = [
            run.lower_per_s
            for goal, runs in self.goals.items()
            for run in runs
            if (goal.loss_ratio == 0) == lossless and run.lower_per_s is not None
        ]
        return min(found, default=None)

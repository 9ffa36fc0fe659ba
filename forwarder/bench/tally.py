# SPDX-License-Identifier: Apache-2.0
"""Sums over all trials of a run, so that the trials themselves needn't stay in memory."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from forwarder.results.model import Lost, Trial

SELFTEST = "selftest"


@dataclass(slots=True)
class Tally:
    counted: int = 0
    void: int = 0
    lost_frames: int = 0  # by sequence numbers
    placed: Counter[str] = field(default_factory=Counter)  # by field of Lost
    dut: Counter[str] = field(default_factory=Counter)  # by drop reason
    highest_steal_ratio: float | None = None
    highest_foreign_cpu_ratio: float | None = None
    unknown: set[str] = field(default_factory=set)  # what the machine didn't tell

    def add(self, trial: Trial) -> None:
        if trial.void:
            self.void += 1
            return
        self.counted += 1
        if trial.purpose == SELFTEST:  # it looks for the load at which the tester loses frames itself
            return
        self.lost_frames += sum(way.lost for way in trial.ways)
        for place in ("before_dut", "after_dut", "receiver", "unexplained"):
            self.placed[place] += getattr(trial.lost, place)
        self.dut.update(trial.lost.dut)
        seen = trial.disturbance
        if seen.steal_ratio is None:
            self.unknown.add("steal")
        else:
            self.highest_steal_ratio = max(self.highest_steal_ratio or 0.0, seen.steal_ratio)
        if seen.foreign_cpu_ratio is None:
            self.unknown.add("the CPU time of others")
        else:
            self.highest_foreign_cpu_ratio = max(
                self.highest_foreign_cpu_ratio or 0.0, seen.foreign_cpu_ratio
            )

    @property
    def lost(self) -> Lost:
        """Of all trials through the DUT that count."""
        return Lost(**self.placed, dut=dict(sorted(self.dut.items())))

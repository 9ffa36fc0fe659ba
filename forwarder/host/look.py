# SPDX-License-Identifier: Apache-2.0
"""A second's look at CPUs: what interrupts them, who else runs there, and how still they are."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from forwarder.host.counters import Counters, delta
from forwarder.host.disturbance import Watch
from forwarder.host.noise import Noise, listen
from forwarder.host.processes import busiest, threads
from forwarder.host.tree import HOST, Tree
from forwarder.results.model import Disturbance

LOOK_S = 1.0


@dataclass(frozen=True)
class Look:
    begin: Counters
    end: Counters
    disturbance: Disturbance
    neighbours: tuple[tuple[str, int], ...]  # names and nanoseconds, most first
    noise: Mapping[int, Noise] | None  # by CPU; None: it wasn't listened to

    @property
    def duration_s(self) -> float:
        return (self.end.at_ns - self.begin.at_ns) / 1e9

    def to_json(self, cpus: frozenset[int]) -> dict[str, Any]:
        return {
            "delta": delta(self.begin, self.end, cpus),
            "disturbance": self.disturbance.model_dump(exclude={"preemptions", "clock_step_ns"}),
            "neighbours": [{"name": name, "ran_ns": ns} for name, ns in self.neighbours],
            "noise": None
            if self.noise is None
            else {str(cpu): asdict(noise) for cpu, noise in self.noise.items()},
        }


def look(cpus: frozenset[int], workers: Collection[int] = (), tree: Tree = HOST) -> Look:
    """Take a second. `workers` are processes that run there rightly: with any, the CPUs aren't occupied."""
    ours = frozenset((os.getpid(), *workers))
    before = threads(tree, ours)
    begin = Counters.now(tree)
    watch = Watch(cpus, ours, tree)
    noise: Mapping[int, Noise] | None = None
    if workers:
        time.sleep(LOOK_S)
    else:
        noise = listen(cpus, LOOK_S)
    disturbance = watch.end()
    end = Counters.now(tree)
    return Look(begin, end, disturbance, busiest(before, threads(tree, ours), cpus), noise)

# SPDX-License-Identifier: Apache-2.0
"""What the state of the host has against publishing: what `ttfwd doctor` blocks for such a measurement.

A tail, or a rate without any loss, also needs CPUs that are isolated, which doctor only warns of.

A look of a second before the first trial. What others do in it isn't held against the result: each trial has
its own account of that.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from forwarder.bench.goals import SearchGoal
from forwarder.host.checkup import Checkup, check_up
from forwarder.host.finding import Purpose
from forwarder.results.model import Test

_NEEDED = frozenset({"isolated"})
_OF_EACH_TRIAL = frozenset({"neighbours", "steal"})
_TOLERANT: frozenset[Test] = frozenset({"mrr", "loss"})  # a short stop of the machine doesn't change them


def purpose(test: Test, goals: Sequence[SearchGoal]) -> Purpose:
    """A rate without any loss ends at the first stop of a CPU, as the tail of a latency does."""
    tolerant = test in _TOLERANT or (test == "ndrpdr" and all(goal.loss_ratio > 0 for goal in goals))
    return "throughput" if tolerant else "latency"


def host_against(wanted: Purpose, cpus: Collection[int], pids: Collection[int]) -> tuple[str, ...]:
    """Takes a second on the CPUs of tester and DUT. `pids`: of a DUT that runs there already."""
    return blocking(check_up(wanted, frozenset(cpus), workers=pids))


def blocking(checkup: Checkup) -> tuple[str, ...]:
    needed = [finding for finding in checkup.of("warn", "unknown") if finding.name in _NEEDED]
    blocked = [finding for finding in checkup.of("block") if finding.name not in _OF_EACH_TRIAL]
    return tuple(f"{finding.what}: {finding.value}" for finding in (*blocked, *needed))

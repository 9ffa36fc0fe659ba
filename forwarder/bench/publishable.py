# SPDX-License-Identifier: Apache-2.0
"""What stands against publishing a result: why a performance engineer wouldn't put a name to it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from forwarder.bench.goals import SearchGoal
from forwarder.bench.parts import Parts
from forwarder.bench.tally import Tally
from forwarder.results.model import Distribution, GoalRun, Tester, Verdict

RUNS = 3  # starts of the DUT that it takes to tell a spread
STEAL_RATIO = 0.001
LATENESS_NS = 20_000
LATENESS_OF_PATH = 0.1


def against(
    *, parts: Parts, tally: Tally, tester: Tester, stopped: str | None, host: Sequence[str]
) -> tuple[str, ...]:
    """Reasons, each once. `stopped`: why it ended early. `host`: what the state of the machine has."""
    reasons = [
        *([f"not complete: {stopped}"] if stopped else []),
        *_trials(tally),
        *_tester(tester),
        *(reason for goal, runs in parts.goals.items() for reason in _goal(goal, runs)),
        *_others(parts),
        *parts.why_not,
        *host,
    ]
    return tuple(dict.fromkeys(reasons))


def _trials(tally: Tally) -> Iterator[str]:
    if tally.void > tally.counted:
        yield f"noisy: {tally.void} trials are void, {tally.counted} count"
    steal = tally.highest_steal_ratio
    if steal is not None and steal > STEAL_RATIO:
        yield f"steal: up to {steal:.1%} of a trial's time went to other virtual machines"
    for what in sorted(tally.unknown):
        yield f"unknown: the machine doesn't tell {what}"
    lost = tally.lost
    if lost.unexplained:
        yield f"{lost.unexplained} lost frames have no explanation"
    if lost.total != tally.lost_frames:
        yield f"the books place {lost.total} lost frames, of {tally.lost_frames}"


def _tester(tester: Tester) -> Iterator[str]:
    if tester.cpus_shared:
        yield "tester and DUT share CPUs"
    if tester.selftest is None:
        yield "the tester wasn't tested against itself"
    else:
        late_ns = tester.selftest.lateness.p999_ns
        if late_ns is None or late_ns > LATENESS_NS:
            yield f"noise: the tester alone is late by {_us(late_ns)} (p99.9), limit {_us(LATENESS_NS)}"


def _goal(goal: SearchGoal, runs: Sequence[GoalRun]) -> Iterator[str]:
    if not goal.publishable:
        yield f"goal {goal.name} is a first look: {goal.duration_sum_s:g} s at a load, {goal.width:.1%} wide"
    if len(runs) < RUNS:
        yield few_starts(goal.name, len(runs))
    for run in runs:
        if not run.regular:
            yield f"goal {goal.name}, run {run.run}: irregular: {run.why}"
        elif run.verdict != "dut_limited":
            yield f"goal {goal.name}, run {run.run}: {_not_the_dut(run.verdict)}"


def few_starts(goal: str, starts: int) -> str:
    return f"goal {goal}: {starts} of the {RUNS} starts of the DUT that tell a spread"


def _others(parts: Parts) -> Iterator[str]:
    if parts.mrr is not None and parts.mrr.verdict != "dut_limited":
        yield f"MRR: {_not_the_dut(parts.mrr.verdict)}"
    for row in parts.latency:
        late_ns = row.lateness.p999_ns
        if late_ns is None or late_ns > _lateness_limit_ns(row.path):
            yield f"latency at {row.load}, {row.direction}: the generator is late by {_us(late_ns)} (p99.9)"


def _lateness_limit_ns(path: Distribution) -> float:
    """For a tail to be the DUT's."""
    return min(LATENESS_NS, LATENESS_OF_PATH * path.p999_ns) if path.p999_ns is not None else LATENESS_NS


def _not_the_dut(verdict: Verdict) -> str:
    return f"{verdict}: it isn't the DUT's limit that was found"


def _us(time_ns: int | None) -> str:
    return "an unknown time" if time_ns is None else f"{time_ns / 1000:.0f} us"

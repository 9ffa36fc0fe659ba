# SPDX-License-Identifier: Apache-2.0
"""The one place where a result is put together: what was measured, with what, on which machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from forwarder.bench.context import Bench
from forwarder.bench.goals import SearchGoal
from forwarder.bench.publishable import against
from forwarder.bench.repeats import spread
from forwarder.bench.tally import Tally
from forwarder.results.model import Goal, GoalRun, Host, Result, Test, Tester


@dataclass(frozen=True, slots=True)
class Setting:
    """What is known before the first trial."""

    test: Test
    run_id: str
    command: tuple[str, ...]
    started: str  # RFC 3339
    ttfwd_version: str
    tester: Tester  # with its self-test
    host: Callable[[], Host]  # facts, and what changed since the begin
    host_against: tuple[str, ...]  # what the machine's state has against publishing


def outcome(setting: Setting, bench: Bench, tally: Tally, *, ended: str, stopped: str | None) -> Result:
    """The result of what was measured until `ended`. `stopped`: why that wasn't everything."""
    parts = bench.parts
    why_not = against(
        parts=parts, tally=tally, tester=setting.tester, stopped=stopped, host=setting.host_against
    )
    return Result(
        test=setting.test,
        run_id=setting.run_id,
        command=setting.command,
        started=setting.started,
        ended=ended,
        complete=stopped is None,
        publishable=not why_not,
        why_not=why_not,
        ttfwd_version=setting.ttfwd_version,
        profile=bench.profile,
        deviations=tuple(dict.fromkeys(parts.deviations)),
        tester=setting.tester,
        dut=bench.dut.describe(),
        goals=tuple(_goal(goal, runs, bench.profile.directions) for goal, runs in parts.goals.items()),
        mrr=parts.mrr,
        loss_curve=tuple(parts.loss_curve),
        latency=tuple(parts.latency),
        burst=parts.burst,
        soak=parts.soak,
        outages=tuple(parts.outages),
        trials_counted=tally.counted,
        trials_void=tally.void,
        lost=tally.lost,
        host=setting.host(),
    )


def _goal(goal: SearchGoal, runs: Sequence[GoalRun], directions: int) -> Goal:
    """The mean is of regular runs; only where there is none, of all that have a lower bound."""
    lower = [run.lower_per_s for run in runs if run.regular and run.lower_per_s is not None]
    mean_per_s, stdev_per_s = spread(
        lower or [run.lower_per_s for run in runs if run.lower_per_s is not None]
    )
    return Goal(
        name=goal.name,
        loss_ratio=goal.loss_ratio,
        exceed_ratio=goal.exceed_ratio,
        duration_sum_s=goal.duration_sum_s,
        initial_trial_s=goal.initial_trial_s,
        final_trial_s=goal.final_trial_s,
        width=goal.width,
        runs=tuple(runs),
        mean_per_s=mean_per_s,
        stdev_per_s=stdev_per_s,
        aggregate_factor=directions,
    )

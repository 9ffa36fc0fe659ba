# SPDX-License-Identifier: Apache-2.0
"""The search for throughput: RFC 9971 by the package MLRsearch, which chooses the load of each trial.

What the package would get wrong by itself, and where this is taken care of:

    a generator below its load passes for the DUT   the intended count is given, so the shortfall is loss
    one frame late at the end fails a whole trial   10 us of the load are forgiven (shortfall.py)
    duplicates count as loss (abs() of a negative)  loss is of different frames, by sequence number
    its time limit raises, and all is lost          ours ends it before a trial; what is known by then stays
    a DUT that forwards nothing raises              fail_fast is off; a bound that isn't there is None
    one of its counts is renamed in the next one    what was offered and lost goes by both names
    load is of one direction, counts are of all     both are so here; aggregate_factor says how many

A search that ends early is irregular: it has the bounds of its last finished stage, and says why.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from forwarder.bench.bounds import Bounds
from forwarder.bench.context import Bench
from forwarder.bench.goals import SearchGoal
from forwarder.bench.runner import Runner, TooNoisy
from forwarder.bench.shortfall import TOLERANCE
from forwarder.bench.verdict import Counts, limited_by
from forwarder.errors import TtfwdError
from forwarder.results.model import GoalRun, Verdict
from forwarder.tester.trial import Load

LOWEST_LOAD_RATIO = 1e-4  # of the maximum load
EFFECTIVE = "a trial's effective duration is that of its sending; waits before and after aren't in it"
_NEVER_S = 1e9  # the package's own time limit


class PackageMissing(TtfwdError):
    def __init__(self) -> None:
        super().__init__(
            "a search needs the package MLRsearch: pip install 'ttfwd[bench]', or in a checkout: make tester"
        )


class _OutOfTime(Exception):
    pass


def require_package() -> Any:
    """The module MLRsearch. Raises PackageMissing. Called before anything is measured, too."""
    try:
        import MLRsearch
    except ModuleNotFoundError:
        raise PackageMissing from None
    return MLRsearch


def search(
    bench: Bench,
    goals: Sequence[SearchGoal],
    *,
    max_time_s: float | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Add a run of each goal to bench.parts, also if this raises: then with what is known by then.

    Raises PackageMissing, TtfwdError (a device is gone, the disk is full), KeyboardInterrupt.
    """
    deadline = None if max_time_s is None else clock() + max_time_s
    found = _Search(bench.runner, goals, bench.selftest.max_load_per_s, deadline, clock)
    for deviation in (TOLERANCE, EFFECTIVE):
        if deviation not in bench.parts.deviations:
            bench.parts.deviations.append(deviation)
    early: tuple[str, Verdict] | None = ("interrupted", "inconclusive")
    try:
        early = found.search()
    except TtfwdError as error:
        early = (str(error), "inconclusive")
        raise
    finally:
        for goal in goals:
            bench.parts.add_run(goal, found.run(goal, early))


class _Search:
    """One search. To the package it is the one who measures."""

    def __init__(
        self,
        runner: Runner,
        goals: Sequence[SearchGoal],
        max_load_per_s: float,
        deadline: float | None,
        clock: Callable[[], float],
    ) -> None:
        self._package = package = require_package()
        self._runner = runner
        self._max_load_per_s = max_load_per_s
        self._deadline = deadline
        self._clock = clock
        self._began = clock()
        self._sent_s = 0.0
        self._warm = False
        self._measuring = False
        self._trials: defaultdict[float, list[Counts]] = defaultdict(list)  # by load, without the warm-up
        self._goals = {
            goal: package.SearchGoal(
                loss_ratio=goal.loss_ratio,
                exceed_ratio=goal.exceed_ratio,
                relative_width=goal.width,
                initial_trial_duration=goal.initial_trial_s,
                final_trial_duration=goal.final_trial_s,
                duration_sum=goal.duration_sum_s,
                preceding_targets=goal.preceding_targets,
                fail_fast=False,
            )
            for goal in goals
        }
        self._search = package.MultipleLossRatioSearch(
            config=package.Config(
                goals=self._goals.values(),
                min_load=max_load_per_s * LOWEST_LOAD_RATIO,
                max_load=max_load_per_s,
                search_duration_max=_NEVER_S,
                warmup_duration=min(goal.initial_trial_s for goal in goals),
            )
        )

    def search(self) -> tuple[str, Verdict] | None:
        """Why it ended early, and what that makes of goals that weren't reached. None: it went to its end."""
        try:
            self._search.search(measurer=self, debug=lambda text: None)
        except _OutOfTime:
            return "out of time", "inconclusive"
        except TooNoisy as error:
            return str(error), "noisy"
        except RuntimeError as error:
            if self._measuring:
                raise
            return f"MLRsearch gave up: {error}", "inconclusive"
        return None

    def measure(self, intended_duration: float, intended_load: float) -> Any:
        """Called by the package. Its load is of one direction, its counts are of all."""
        self._tell()
        load = Load(per_s=intended_load, duration_s=intended_duration)
        self._measuring = True
        purpose = "search" if self._warm else "warm-up"
        trial = self._runner.trial(load, purpose, around=lambda: self._in_time(load))
        counts = Counts.of(load, trial, self._runner.noise_allowed)
        self._measuring = False
        self._sent_s += intended_duration
        if self._warm:
            self._trials[intended_load].append(counts)
        self._warm = True
        return self._package.MeasurementResult(
            intended_duration=intended_duration,
            intended_load=intended_load,
            intended_count=counts.intended,
            offered_count=counts.sent,
            loss_count=counts.lost,
            duration_with_overheads=intended_duration,
        )

    @contextmanager
    def _in_time(self, load: Load) -> Iterator[None]:
        """Around each attempt. Raises _OutOfTime if it would end too late."""
        if self._deadline is not None and self._clock() + load.duration_s > self._deadline:
            raise _OutOfTime
        yield

    def run(self, goal: SearchGoal, early: tuple[str, Verdict] | None) -> GoalRun:
        """What is known of a goal. `early`: as search() returns it."""
        bounds = self._bounds(goal, final=early is None)
        why: str | None
        verdict: Verdict
        if bounds.reached(goal):
            why, verdict = None, self._limited_by(bounds.upper_per_s, goal)
        elif early is not None:
            ended, verdict = early
            why = "; ".join([ended, *bounds.missing(goal)])
        elif bounds.lower_per_s is not None:
            why, verdict = "the DUT forwards the most that the tester can send", "generator_limited"
        else:
            why, verdict = self._nothing_forwarded(), self._limited_by(bounds.upper_per_s, goal)
        return GoalRun(
            run=self._runner.run,
            regular=why is None,
            lower_per_s=bounds.lower_per_s,
            upper_per_s=bounds.upper_per_s,
            conditional_per_s=bounds.conditional_per_s,
            verdict=verdict,
            why=why,
        )

    def _limited_by(self, load_per_s: float | None, goal: SearchGoal) -> Verdict:
        return limited_by(self._trials[load_per_s] if load_per_s is not None else (), goal.loss_ratio)

    def _nothing_forwarded(self) -> str:
        lowest = min(self._trials)
        due = sum(trial.intended for trial in self._trials[lowest])
        arrived = sum(trial.sent - trial.lost for trial in self._trials[lowest])
        return f"no load is low enough: at {lowest:.0f}/s {arrived} of {due} frames arrived"

    def _bounds(self, goal: SearchGoal, *, final: bool = False) -> Bounds:
        """Of the goal. If that isn't `final` and hasn't got both, of the coarser one before it that has."""
        if self._search.database is None:  # nothing was measured
            return Bounds(None, None, None, 0.0)
        target = self._search.scaling.goal_to_final_target[self._goals[goal]]
        stages = []
        while target is not None:
            found = self._package.GoalResult.from_bounds(self._search.database.get_relevant_bounds(target))
            stages.append(
                Bounds(
                    lower_per_s=_number(found.relevant_lower_bound),
                    upper_per_s=_number(found.relevant_upper_bound),
                    conditional_per_s=_number(found.conditional_throughput),
                    duration_sum_s=target.duration_sum,
                )
            )
            target = target.preceding
        return stages[0] if final else max(stages, key=lambda bounds: bounds.known)

    def _tell(self) -> None:
        """Show what is known, and about how long it will take."""
        bounds = {goal: self._bounds(goal) for goal in self._goals}
        for goal, found in bounds.items():
            self._runner.progress.bounds(goal.name, found.lower_per_s, found.upper_per_s)
        spent_s = self._clock() - self._began
        overhead = spent_s / self._sent_s if self._sent_s else 1.0
        left_s = overhead * sum(found.left_s(goal) for goal, found in bounds.items())
        if self._deadline is not None:
            left_s = min(left_s, self._deadline - self._clock())
        self._runner.progress.left(max(left_s, 0.0))


def _number(load: Any) -> float | None:
    return None if load is None else float(load)

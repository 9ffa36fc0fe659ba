# SPDX-License-Identifier: Apache-2.0
"""The tester against itself, without a DUT: what it can send and receive, and how late it is by itself.

It comes before everything else. The highest load that it sends and receives whole is the maximum load of all
tests; its lateness and preemptions there set the limits beyond which a trial is void.
"""

from __future__ import annotations

from forwarder.bench.limits import FOREIGN_CPU_RATIO, STALLED_RATIO, STEAL_RATIO
from forwarder.bench.runner import Runner
from forwarder.bench.shortfall import kept_pace, shortfall
from forwarder.bench.tally import SELFTEST
from forwarder.errors import TtfwdError
from forwarder.results.model import Selftest, Trial, Way
from forwarder.tester.trial import Load

MORE_THAN_ANY_PER_S = 20e6  # no generator sends so much: what it sends is its ceiling
TRIAL_S = 1.0
_CEILING_TRIAL = 0.5  # of the others
_STEPS = 30
_STEP = 0.95
_TRIALS_OF_A_LOAD = 2
_TRIALS_OF_THE_FLOOR = 3
_FLOOR_LOAD = 0.5  # of the maximum load
# Twice the floor: a trial isn't void for what the tester does by itself. The least values are for a quiet
# machine. Kernel threads alone preempt a generator some ten times a second.
_MARGIN = 2
LEAST_LATENESS_NS = 20_000
LEAST_PREEMPTIONS_PER_S = 50.0
# At a load at which the generator stands still for a larger part of the time, nothing can be measured.
_MOST_STALLED_RATIO = 0.02


class NoSelftest(TtfwdError):
    """The tester can't receive what it sends itself."""


def selftest(runner: Runner, sizes: str, *, trial_s: float = TRIAL_S) -> Selftest:
    """Run it: about ten trials. `runner`: of the tester without a DUT. If it allows noise, the generator may
    stand still as often as the machine makes it.

    Raises NoSelftest, TooNoisy, TtfwdError, KeyboardInterrupt.
    """
    max_load_per_s, at_max = _max_load(runner, trial_s)
    floor = Load(per_s=max_load_per_s * _FLOOR_LOAD, duration_s=trial_s)
    trials = [runner.trial(floor, SELFTEST) for _ in range(_TRIALS_OF_THE_FLOOR)]
    all_trials = [*at_max, *trials]
    worst = max((way for trial in trials for way in trial.ways), key=_lateness_ns)
    return Selftest(
        max_load_per_s=max_load_per_s,
        max_load_sizes=sizes,
        path=worst.path,
        lateness=worst.lateness,
        limit_lateness_p999_ns=max(_MARGIN * _lateness_ns(worst), LEAST_LATENESS_NS),
        limit_foreign_cpu_ratio=FOREIGN_CPU_RATIO,
        limit_steal_ratio=STEAL_RATIO,
        limit_preemptions_per_s=max(
            _MARGIN * max(_preemptions_per_s(trial) for trial in all_trials), LEAST_PREEMPTIONS_PER_S
        ),
        limit_unsent_ratio=max(_MARGIN * max(map(_unsent_ratio, all_trials)), STALLED_RATIO),
    )


def _max_load(runner: Runner, trial_s: float) -> tuple[float, list[Trial]]:
    """The highest load of which everything arrives, in two trials, and these."""
    ceiling = runner.trial(Load(per_s=MORE_THAN_ANY_PER_S, duration_s=trial_s * _CEILING_TRIAL), SELFTEST)
    load = Load(per_s=_sent_per_s(ceiling) * _STEP, duration_s=trial_s)
    for _ in range(_STEPS):
        if load.per_s < 1:
            break
        trials: list[Trial] = []
        while len(trials) < _TRIALS_OF_A_LOAD:
            trials.append(runner.trial(load, SELFTEST))
            if not _whole(load, trials[-1], runner.noise_allowed):
                break
        else:
            return load.per_s, trials
        load = Load(per_s=min(load.per_s, _sent_per_s(trials[-1])) * _STEP, duration_s=trial_s)
    raise NoSelftest(
        f"the tester doesn't receive what it sends, without a DUT: at {load.per_s:.0f}/s it still loses some"
    )


def _sent_per_s(trial: Trial) -> float:
    return min(way.sent + way.unstamped for way in trial.ways) / trial.duration_s


def _whole(load: Load, trial: Trial, noise_allowed: bool) -> bool:
    """Everything sent arrived, and but for stalls everything was sent."""
    return all(way.lost == 0 and (noise_allowed or _sent_in_time(load, way)) for way in trial.ways)


def _sent_in_time(load: Load, way: Way) -> bool:
    return kept_pace(load, way) and shortfall(load, way) <= _MOST_STALLED_RATIO * way.intended


def _unsent_ratio(trial: Trial) -> float:
    return max(way.unsent / way.intended if way.intended else 0.0 for way in trial.ways)


def _lateness_ns(way: Way) -> int:
    """The highest quantile up to p99.9 that its samples tell."""
    found = (way.lateness.p999_ns, way.lateness.p99_ns, way.lateness.max_ns)
    return next((value for value in found if value is not None), 0)


def _preemptions_per_s(trial: Trial) -> float:
    return (trial.disturbance.preemptions or 0) / trial.duration_s

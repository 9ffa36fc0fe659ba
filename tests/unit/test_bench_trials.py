# SPDX-License-Identifier: Apache-2.0
"""Which trials count, what limited them, and that a void one is repeated."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from forwarder.bench.journal import Journal
from forwarder.bench.limits import Limits, void
from forwarder.bench.runner import TooNoisy
from forwarder.bench.shortfall import shortfall
from forwarder.bench.verdict import Counts, limited_by, verdict
from forwarder.results.model import Disturbance, Lost, Trial, Verdict, Way
from forwarder.tester.trial import Load
from tests.support.simulated import (
    DRAIN_S,
    QUIET,
    SimulatedClock,
    SimulatedDut,
    SimulatedMachine,
    SimulatedTester,
    distribution,
    simulated_runner,
)

LOAD = Load(per_s=1e6, duration_s=1.0)
LIMITS = Limits(lateness_p999_ns=20_000, preemptions_per_s=50.0)
LATE = 10**8


def way(*, unsent: int = 0, lost: int = 0, late_p50_ns: int = 60, late_p999_ns: int = 5_000) -> Way:
    return Way(
        direction="forward",
        intended=1_000_000,
        sent=1_000_000 - unsent,
        unsent=unsent,
        received=1_000_000 - unsent - lost,
        path=distribution(2_000, 50_000),
        response=distribution(2_000, 50_000),
        lateness=distribution(late_p50_ns, late_p999_ns),
    )


def disturbed(**changes: Any) -> Disturbance:
    return QUIET.model_copy(update=changes)


def test_a_quiet_trial_counts() -> None:
    assert void(LOAD, (way(),), disturbed(preemptions=3, clock_step_ns=140), LIMITS) == ()


@pytest.mark.parametrize(
    ("disturbance", "reason"),
    [
        (disturbed(foreign_cpu_ratio=0.051), "foreign CPU time 5.1%, limit 5.0%"),
        (disturbed(steal_ratio=0.011), "steal 1.1%, limit 1.0%"),
        (disturbed(clock_step_ns=-1001), "the clock stepped by -1001 ns"),
        (disturbed(preemptions=51), "generator preempted 51 times, limit 50"),
    ],
)
def test_a_trial_that_the_machine_disturbed_is_void(disturbance: Disturbance, reason: str) -> None:
    assert void(LOAD, (way(),), disturbance, LIMITS) == (reason,)
    at_the_limit = disturbed(foreign_cpu_ratio=0.05, steal_ratio=0.01, clock_step_ns=1000, preemptions=50)
    assert void(LOAD, (way(),), at_the_limit, LIMITS) == ()


def test_a_trial_with_a_late_generator_is_void() -> None:
    (reason,) = void(LOAD, (way(late_p999_ns=20_001),), QUIET, LIMITS)
    assert reason == "forward: lateness p99.9 20 us, limit 20 us"
    assert void(LOAD, (way(late_p999_ns=20_000),), QUIET, LIMITS) == ()


def test_a_generator_that_stood_still_makes_a_trial_void() -> None:
    (reason,) = void(LOAD, (way(unsent=1_100),), QUIET, LIMITS)
    assert reason == "forward: the generator stood still and left out 1090 of 1000000 frames"
    assert void(LOAD, (way(unsent=1_000),), QUIET, LIMITS) == ()  # few: they count as lost


def test_a_generator_that_can_not_keep_pace_is_no_disturbance() -> None:
    for late_ns in (64_000, LATE):  # by as much as it may catch up, or for ever later
        behind = way(unsent=400_000, late_p50_ns=late_ns, late_p999_ns=2 * late_ns)
        assert void(LOAD, (behind,), QUIET, LIMITS) == ()
        assert verdict(LOAD, (behind,), Lost()) == "generator_limited"


def test_before_the_self_test_only_the_machine_makes_a_trial_void() -> None:
    late = way(late_p999_ns=LATE, unsent=5_000)
    assert void(LOAD, (late,), disturbed(preemptions=10_000), Limits()) == ()
    assert void(LOAD, (late,), disturbed(steal_ratio=0.5), Limits()) == ("steal 50.0%, limit 1.0%",)


def test_what_the_machine_does_not_tell_makes_no_trial_void() -> None:
    assert void(LOAD, (way(),), Disturbance(), LIMITS) == ()


def test_more_received_than_sent_is_void_and_never_a_gain() -> None:
    (reason,) = void(LOAD, (way(lost=-1),), QUIET, LIMITS)
    assert reason == "forward: 1000001 frames received of 1000000 sent"


@pytest.mark.parametrize(
    ("unsent", "lost", "expected"),
    [
        (0, Lost(), None),
        (10, Lost(), None),  # 10 us of a million a second
        (11, Lost(), "generator_limited"),
        (0, Lost(dut={"tx_full": 1}), "dut_limited"),
        (0, Lost(before_dut=1), "dut_limited"),
        (0, Lost(after_dut=2, dut={"tx_full": 1}), "receiver_limited"),
        (0, Lost(receiver=1, dut={"tx_full": 1}), "receiver_limited"),
        (0, Lost(unexplained=2, dut={"tx_full": 1}), "inconclusive"),
        (500, Lost(dut={"tx_full": 1}), "generator_limited"),
        (500, Lost(dut={"tx_full": 900}), "dut_limited"),
    ],
)
def test_what_lost_most_is_the_limit(unsent: int, lost: Lost, expected: Verdict | None) -> None:
    assert verdict(LOAD, (way(unsent=unsent, lost=lost.total),), lost) == expected


def test_a_void_trial_is_noisy_whatever_it_lost() -> None:
    assert verdict(LOAD, (way(lost=9),), Lost(dut={"tx_full": 9}), ("steal",)) == "noisy"


def counts(lost: int = 0, unsent: int = 0, lost_by_dut: int = 0, said: Verdict | None = None) -> Counts:
    return Counts(10_000, 10_000 - unsent, lost, lost_by_dut, said)


def test_the_limit_of_a_goal_is_what_most_failed_trials_say() -> None:
    ours, dut = counts(unsent=200, said="generator_limited"), counts(lost=200, said="dut_limited")
    passed = counts(lost=10, said="receiver_limited")
    assert limited_by([ours, ours, dut, passed, passed, passed], 0.005) == "generator_limited"
    assert limited_by([passed], 0.005) == "inconclusive"


def test_a_dut_that_loses_too_much_itself_is_the_limit_even_beside_a_short_generator() -> None:
    both = counts(unsent=200, lost=60, lost_by_dut=60, said="generator_limited")
    assert limited_by([both], 0.005) == "dut_limited"
    assert limited_by([both], 0.01) == "generator_limited"


# The runner


def trials_of(directory: Path) -> list[Trial]:
    return [Trial.model_validate_json(line) for line in (directory / "trials.jsonl").read_text().splitlines()]


def run_one(directory: Path, machine: SimulatedMachine, dut: SimulatedDut | None = None) -> Trial:
    tester = SimulatedTester(dut or SimulatedDut(), SimulatedClock())
    with Journal(directory) as journal:
        return simulated_runner(tester, journal, machine=machine).trial(LOAD, "search")


def test_a_void_trial_is_journalled_and_repeated(tmp_path: Path) -> None:
    trial = run_one(tmp_path, SimulatedMachine(disturbed(steal_ratio=0.3), disturbed(foreign_cpu_ratio=0.3)))
    assert trial.number == 3
    assert [len(each.void) for each in trials_of(tmp_path)] == [1, 1, 0]
    assert [each.verdict for each in trials_of(tmp_path)] == ["noisy", "noisy", None]


def test_ten_void_trials_in_a_row_are_enough(tmp_path: Path) -> None:
    machine = SimulatedMachine(*[disturbed(steal_ratio=0.3)] * 11)
    with pytest.raises(TooNoisy, match=r"10 trials in a row are void; the last one: steal 30\.0%"):
        run_one(tmp_path, machine)
    assert len(trials_of(tmp_path)) == 10


def test_a_first_look_allows_noise_when_the_machine_does_not_get_quiet(tmp_path: Path) -> None:
    tester = SimulatedTester(SimulatedDut(), SimulatedClock())
    told: list[int] = []
    with Journal(tmp_path) as journal:
        machine = SimulatedMachine(*[disturbed(steal_ratio=0.3)] * 5)
        runner = simulated_runner(
            tester, journal, machine=machine, noise_comes=lambda: told.append(journal.next_number)
        )
        assert not runner.noise_allowed
        assert runner.trial(LOAD, "search").number == 4
        assert runner.trial(LOAD, "search").number == 5, "from then on each counts"
        assert runner.noise_allowed
    assert told == [4], "once, after three void trials"
    assert [bool(each.void) for each in trials_of(tmp_path)] == [True, True, True, False, False]


@pytest.mark.parametrize(
    ("unsent", "noise_allowed", "counted"),
    [(10, False, 0), (1_000, False, 990), (1_000, True, 0), (150_000, True, 50_000)],
)
def test_what_a_stalled_generator_left_out_is_forgiven_where_noise_is_allowed(
    unsent: int, noise_allowed: bool, counted: int
) -> None:
    assert shortfall(LOAD, way(unsent=unsent), noise_allowed) == counted


def test_a_generator_that_does_not_keep_pace_is_forgiven_no_more() -> None:
    assert shortfall(LOAD, way(unsent=1_000, late_p50_ns=50_000), noise_allowed=True) == 990


def test_a_disturbance_has_time_to_pass(tmp_path: Path) -> None:
    tester = SimulatedTester(SimulatedDut(), SimulatedClock())
    at_s: list[float] = []

    @contextmanager
    def noted() -> Iterator[None]:
        at_s.append(tester.clock())
        yield

    with Journal(tmp_path) as journal:
        runner = simulated_runner(
            tester, journal, machine=SimulatedMachine(*[disturbed(steal_ratio=0.3)] * 9)
        )
        runner.trial(LOAD, "search", around=noted)
    took_s = LOAD.duration_s + DRAIN_S
    assert [after - before - took_s for before, after in pairwise(at_s)] == [0, 0, 1, 2, 4, 8, 8, 8, 8]


def test_a_trial_has_what_was_asked_seen_and_lost(tmp_path: Path) -> None:
    trial = run_one(tmp_path, SimulatedMachine(disturbed(steal_ratio=0.002)), SimulatedDut(900_000))
    assert trials_of(tmp_path) == [trial]
    assert (trial.intended_per_s, trial.duration_s, trial.whole_s, trial.run) == (1e6, 1.0, 3.0, 1)
    assert trial.ways[0].lost == 100_000
    assert trial.lost == Lost(dut={"inside": 100_000})
    assert trial.verdict == "dut_limited"
    assert trial.loss_ratio == pytest.approx(0.1)
    assert (trial.disturbance.steal_ratio, trial.disturbance.preemptions) == (0.002, 2)

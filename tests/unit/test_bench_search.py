# SPDX-License-Identifier: Apache-2.0
"""The search finds what a simulated DUT can do. Each trap of the package MLRsearch has a test."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import MLRsearch
import pytest

from forwarder.bench.goals import PRESETS, goals
from forwarder.bench.journal import Journal
from forwarder.bench.parts import Parts
from forwarder.bench.runner import PAUSES_S
from forwarder.bench.seams import Progress, Silent
from forwarder.bench.search import PackageMissing, require_package, search
from forwarder.errors import DeviceError
from forwarder.results.model import Disturbance, GoalRun
from tests.support.simulated import (
    SimulatedClock,
    SimulatedDut,
    SimulatedMachine,
    SimulatedTester,
    simulated_bench,
    simulated_runner,
)

CAPACITY_PER_S = 1.2e6
WIDTH = 0.005
BUSY = Disturbance(foreign_cpu_ratio=0.4, steal_ratio=0.0)


class Searched:
    """A search of a simulated DUT: what it was asked, and what it found."""

    def __init__(self, directory: Path) -> None:
        self.dut = SimulatedDut(CAPACITY_PER_S)
        self.clock = SimulatedClock()
        self.machine = SimulatedMachine()
        self.tester = SimulatedTester(self.dut, self.clock)
        self.progress: Progress = Silent()
        self.parts = Parts()
        self.max_load_per_s = 2e6
        self.directory = directory

    def search(self, names: str = "ndr", max_time_s: float | None = None) -> None:
        with Journal(self.directory) as journal:
            runner = simulated_runner(self.tester, journal, machine=self.machine, progress=self.progress)
            bench = simulated_bench(runner, self.dut, max_load_per_s=self.max_load_per_s)
            bench.parts = self.parts
            search(bench, goals(names), max_time_s=max_time_s, clock=self.clock)

    def run(self, name: str = "ndr") -> GoalRun:
        (run,) = next(runs for goal, runs in self.parts.goals.items() if goal.name == name)
        return run

    def found(self, name: str = "ndr") -> tuple[float, float]:
        """Lower and upper bound of a search that found both."""
        run = self.run(name)
        assert run.regular
        assert run.why is None
        assert run.lower_per_s is not None
        assert run.upper_per_s is not None
        return run.lower_per_s, run.upper_per_s


@pytest.fixture
def searched(tmp_path: Path) -> Searched:
    return Searched(tmp_path)


@pytest.mark.parametrize("name", [goal.name for preset in PRESETS.values() for goal in preset])
def test_every_goal_is_found_as_narrow_as_it_says(searched: Searched, name: str) -> None:
    preset = name.partition("_")[0]
    searched.search(preset)
    goal = next(goal for goal in goals(preset) if goal.name == name)
    lower, upper = searched.found(name)
    truth = CAPACITY_PER_S / (1 - goal.loss_ratio)
    assert lower <= truth * (1 + 1e-9) <= upper * (1 + 1e-9)
    assert upper - lower <= goal.width * upper * (1 + 1e-9)
    assert searched.run(name).verdict == "dut_limited"


def test_two_goals_share_their_trials(searched: Searched) -> None:
    searched.search("ndr,pdr")
    assert searched.found("ndr")[0] < searched.found("pdr")[0]
    both = len(searched.tester.loads)
    alone = Searched(searched.directory.parent)
    alone.search("ndr")
    assert both < 2 * len(alone.tester.loads)


@pytest.mark.slow
def test_a_noisy_dut_is_found_within_its_noise(searched: Searched) -> None:
    searched.dut.noise, searched.dut.stalled = 0.01, 0.02
    searched.search("ndr,pdr")
    lower, upper = searched.found("ndr")
    assert CAPACITY_PER_S * 0.99 * (1 - WIDTH) <= lower < upper <= CAPACITY_PER_S * 1.01 * (1 + WIDTH)


# Trap 1


def test_a_generator_below_its_load_is_the_limit_and_not_the_dut(searched: Searched) -> None:
    """Without the intended count, the package says 10,000,000/s here, of a DUT that does 1.2 million."""
    ceiling_per_s = 1e6
    searched.max_load_per_s = 1e7
    searched.tester = SimulatedTester(searched.dut, searched.clock, ceiling_per_s=ceiling_per_s)
    searched.search()
    lower, upper = searched.found()
    assert lower <= ceiling_per_s <= upper
    assert upper <= ceiling_per_s * (1 + 2 * WIDTH)
    assert searched.run().verdict == "generator_limited"


def test_the_highest_load_passing_says_nothing_of_the_dut(searched: Searched) -> None:
    searched.dut.capacity_per_s = 1e9
    searched.search()
    run = searched.run()
    assert (run.regular, run.lower_per_s, run.upper_per_s) == (False, 2e6, None)
    assert run.verdict == "generator_limited"
    assert run.why == "the DUT forwards the most that the tester can send"


# Trap 2


def test_ten_microseconds_of_unsent_frames_are_forgiven_and_reported(searched: Searched) -> None:
    searched.tester.unsent = 1  # of a million: with no loss allowed, each trial would fail
    searched.search()
    lower, upper = searched.found()
    assert lower <= CAPACITY_PER_S <= upper
    assert searched.run().verdict == "dut_limited"
    assert any("10 us of the load" in deviation for deviation in searched.parts.deviations)


def test_more_unsent_frames_than_that_are_lost(searched: Searched) -> None:
    searched.tester.unsent = 60
    searched.search(max_time_s=200)
    run = searched.run()
    assert run.lower_per_s is None
    assert searched.parts.lower_per_s(lossless=True) is None


# Trap 3


def test_duplicates_are_not_losses(searched: Searched) -> None:
    """Counted as received, five of a thousand would be a loss of -0.5 %, and the package would say +0.5 %."""
    searched.dut.duplicates = 5_000
    searched.search()
    lower, upper = searched.found()
    assert lower <= CAPACITY_PER_S <= upper


# Trap 4


def test_a_search_out_of_time_keeps_its_best_bounds(searched: Searched) -> None:
    began_s = searched.clock()
    searched.search("ndr,pdr", max_time_s=60)
    assert searched.clock() - began_s <= 60 + 2  # the drain of the last trial
    for name in ("ndr", "pdr"):
        run = searched.run(name)
        assert not run.regular
        assert run.verdict == "inconclusive"
        assert run.why is not None
        assert run.why.startswith("out of time; at each load ")
        assert run.lower_per_s is not None
        assert run.upper_per_s is not None
        assert run.lower_per_s <= CAPACITY_PER_S * 1.006
        assert run.upper_per_s >= CAPACITY_PER_S


def test_a_search_may_take_longer_than_the_package_allows(
    searched: Searched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By itself it ends a search after 20 minutes by an error."""
    monkeypatch.setattr(MLRsearch.multiple_loss_ratio_search.time, "monotonic", searched.clock)
    began_s = searched.clock()
    searched.tester = SimulatedTester(
        searched.dut, searched.clock, before_trial=lambda number: searched.clock.pass_s(600)
    )
    searched.search()
    assert searched.clock() - began_s > 1200
    assert searched.found()[0] <= CAPACITY_PER_S


def test_time_runs_out_for_void_trials_too(searched: Searched) -> None:
    searched.machine.disturbances = [BUSY] * 100
    began_s = searched.clock()
    searched.search(max_time_s=12)
    assert searched.clock() - began_s <= 12 + max(PAUSES_S)
    assert searched.run().why == "out of time"


def test_too_little_time_for_a_trial_leaves_no_bounds(searched: Searched) -> None:
    searched.search(max_time_s=0.5)
    assert searched.tester.loads == []
    run = searched.run()
    assert (run.regular, run.lower_per_s, run.upper_per_s) == (False, None, None)


# Trap 5


def test_a_dead_dut_has_no_lower_bound_and_is_no_error(searched: Searched) -> None:
    searched.dut.capacity_per_s = 0
    searched.search("ndr,pdr")
    for name in ("ndr", "pdr"):
        run = searched.run(name)
        assert (run.regular, run.lower_per_s, run.conditional_per_s) == (False, None, None)
        assert run.verdict == "dut_limited"
        assert run.why == "no load is low enough: at 200/s 0 of 2200 frames arrived"


# Trap 6


def test_a_newer_package_may_rename_its_counts(searched: Searched, monkeypatch: pytest.MonkeyPatch) -> None:
    """1.2.1 calls it forwarding_count, its successor forwarded_count."""
    original = MLRsearch.MeasurementResult
    given: set[str] = set()

    def result(**counts: Any) -> Any:
        given.update(counts)
        return original(**counts)

    monkeypatch.setattr(MLRsearch, "MeasurementResult", result)
    searched.search()
    assert {"offered_count", "loss_count", "intended_count"} <= given
    assert not {name for name in given if name.startswith("forward")}


# Trap 7


def test_load_is_of_a_direction_whatever_their_number(searched: Searched) -> None:
    searched.tester = SimulatedTester(searched.dut, searched.clock, directions=2)
    searched.search()
    lower, upper = searched.found()
    assert lower <= CAPACITY_PER_S <= upper


# What ends a search early


def test_void_trials_change_nothing(searched: Searched) -> None:
    searched.search()
    quiet = searched.run()
    disturbed = Searched(searched.directory / "disturbed")
    disturbed.directory.mkdir()
    quiet_again = Disturbance(foreign_cpu_ratio=0.0, steal_ratio=0.0)
    disturbed.machine.disturbances = [BUSY, quiet_again, BUSY, BUSY, quiet_again] * 10
    # The DUT loses half of all frames in a disturbed trial.
    capacity = disturbed.dut.capacity_per_s

    def disturb(number: int) -> None:
        now = disturbed.machine.disturbances[:1]
        disturbed.dut.capacity_per_s = capacity / 2 if now == [BUSY] else capacity

    disturbed.tester = SimulatedTester(disturbed.dut, disturbed.clock, before_trial=disturb)
    disturbed.search()
    assert disturbed.run() == quiet
    assert len(disturbed.tester.loads) > len(searched.tester.loads)


def test_a_machine_that_stays_noisy_ends_the_search(searched: Searched) -> None:
    searched.machine.disturbances = [Disturbance(foreign_cpu_ratio=0.0, steal_ratio=0.0)] * 5 + [BUSY] * 100
    searched.search()
    run = searched.run()
    assert (run.regular, run.verdict) == (False, "noisy")
    assert run.lower_per_s is not None
    assert run.why is not None
    assert "10 trials in a row are void" in run.why
    assert len(searched.tester.loads) == 15


@pytest.mark.parametrize("error", [DeviceError("veth0 is gone"), KeyboardInterrupt()])
def test_an_interrupted_search_leaves_its_bounds(searched: Searched, error: BaseException) -> None:
    def fail(number: int) -> None:
        if number == 12:
            raise error

    searched.tester = SimulatedTester(searched.dut, searched.clock, before_trial=fail)
    with pytest.raises(type(error)):
        searched.search("ndr,pdr")
    for name in ("ndr", "pdr"):
        run = searched.run(name)
        assert not run.regular
        assert run.lower_per_s is not None
        assert run.upper_per_s is not None
    assert (searched.directory / "trials.jsonl").read_text().count("\n") == 11


def test_an_error_of_ours_is_not_taken_for_the_packages(searched: Searched) -> None:
    def fail(number: int) -> None:
        raise RuntimeError("a fault")

    searched.tester = SimulatedTester(searched.dut, searched.clock, before_trial=fail)
    with pytest.raises(RuntimeError, match="a fault"):
        searched.search()


def test_an_error_of_the_package_keeps_what_was_measured(
    searched: Searched, monkeypatch: pytest.MonkeyPatch
) -> None:
    def give_up(*arguments: Any) -> None:
        raise RuntimeError("Internal error: no clo nor chi.")

    monkeypatch.setattr(MLRsearch.MultipleLossRatioSearch, "main_loop", give_up)
    searched.search()
    run = searched.run()
    assert run.lower_per_s is not None
    assert run.why is not None
    assert run.why.startswith("MLRsearch gave up: Internal error: no clo nor chi.")


def test_without_the_package_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "MLRsearch", None)
    with pytest.raises(PackageMissing, match=r"pip install 'ttfwd\[bench\]'.*make tester"):
        require_package()


# Progress


class Watched(Silent):
    def __init__(self) -> None:
        self.seen: list[tuple[str, float | None, float | None]] = []
        self.left_s: list[float | None] = []

    def bounds(self, goal: str, lower_per_s: float | None, upper_per_s: float | None) -> None:
        self.seen.append((goal, lower_per_s, upper_per_s))

    def left(self, seconds: float | None) -> None:
        self.left_s.append(seconds)


def test_progress_shows_bounds_that_close_in_and_a_time_that_runs_out(searched: Searched) -> None:
    watched = searched.progress = Watched()
    searched.search(max_time_s=1000)
    assert watched.seen[0] == ("ndr", None, None)
    run = searched.run()
    assert watched.seen[-1][1] == pytest.approx(run.lower_per_s)
    left_s = [seconds for seconds in watched.left_s if seconds is not None]
    assert all(0 <= seconds <= 1000 for seconds in left_s)
    assert left_s[-1] < left_s[0]

# SPDX-License-Identifier: Apache-2.0
"""The tests of `ttfwd bench` on devices whose truth is known: what each publishes, and at which loads."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from forwarder.bench.context import Bench
from forwarder.bench.journal import Journal
from forwarder.bench.methods.burst import WIDTH, burst
from forwarder.bench.methods.latency import IDLE_PER_S, latency
from forwarder.bench.methods.loss import loss
from forwarder.bench.methods.merged import merged
from forwarder.bench.methods.mrr import mrr
from forwarder.bench.methods.outage import outage
from forwarder.bench.methods.soak import loss_ratio_below, soak
from forwarder.bench.methods.throughput import NoThroughput, throughput
from forwarder.bench.profile import (
    BenchProfile,
    BurstKeys,
    GoalName,
    LatencyKeys,
    LossKeys,
    Mrr,
    OutageKeys,
    SoakKeys,
)
from forwarder.bench.runner import VOID_IN_A_ROW, TooNoisy
from forwarder.errors import TtfwdError
from forwarder.results.model import Distribution, Disturbance, GoalRun
from forwarder.tester.trial import Load
from tests.support.simulated import (
    SimulatedClock,
    SimulatedDut,
    SimulatedMachine,
    SimulatedTester,
    simulated_bench,
    simulated_runner,
)

MAX_PER_S = 2e6
STOLEN = Disturbance(foreign_cpu_ratio=0.0, steal_ratio=0.5)


class Lab:
    """A bench through a simulated DUT."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.tester: SimulatedTester

    def bench(
        self, dut: SimulatedDut, *disturbances: Disturbance, directions: int = 1, ceiling_per_s: float = 2.5e6
    ) -> Bench:
        self.tester = SimulatedTester(
            dut, SimulatedClock(), directions=directions, ceiling_per_s=ceiling_per_s
        )
        runner = simulated_runner(self.tester, self._journal, machine=SimulatedMachine(*disturbances))
        return simulated_bench(runner, dut, max_load_per_s=MAX_PER_S)

    @property
    def rates(self) -> list[float]:
        return [load.per_s for load in self.tester.loads]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with Journal(tmp_path) as journal:
        yield Lab(journal)


# ------------------------------------------------------------------------------------------------------ mrr


@pytest.mark.parametrize("directions", [1, 2])
def test_mrr_is_what_comes_through_at_the_highest_load_per_direction(lab: Lab, directions: int) -> None:
    bench = lab.bench(SimulatedDut(capacity_per_s=1.2e6), directions=directions)
    mrr(bench, Mrr(trials=3))
    assert lab.rates == [MAX_PER_S] * 3
    found = bench.parts.mrr
    assert found is not None
    assert found.received_per_s == (1.2e6,) * 3
    assert (found.mean_per_s, found.stdev_per_s, found.verdict) == (1.2e6, 0.0, "dut_limited")


def test_mrr_of_a_device_that_is_faster_than_the_tester_is_the_testers(lab: Lab) -> None:
    bench = lab.bench(SimulatedDut(capacity_per_s=1e9))
    mrr(bench, Mrr(trials=2))
    assert bench.parts.mrr is not None
    assert bench.parts.mrr.verdict == "generator_limited"


def test_mrr_of_several_starts_is_one_rate(lab: Lab) -> None:
    dut = SimulatedDut(capacity_per_s=1.2e6)
    bench = lab.bench(dut)
    mrr(bench, Mrr(trials=2))
    dut.capacity_per_s = 1.0e6
    mrr(bench, Mrr(trials=2))
    assert bench.parts.mrr is not None
    assert bench.parts.mrr.received_per_s == (1.2e6, 1.2e6, 1.0e6, 1.0e6)
    assert bench.parts.mrr.mean_per_s == 1.1e6


# ----------------------------------------------------------------------------------------------------- loss


def test_the_loss_curve_ends_after_two_loads_without_loss(lab: Lab) -> None:
    bench = lab.bench(SimulatedDut(capacity_per_s=1.2e6))
    loss(bench, LossKeys(step_percent=10, trial_s=1.0))
    curve = bench.parts.loss_curve
    assert [round(point.intended_per_s / MAX_PER_S, 3) for point in curve] == [1.0, 0.9, 0.8, 0.7, 0.6, 0.5]
    assert [round(point.loss_ratio, 3) for point in curve] == [0.4, 0.333, 0.25, 0.143, 0, 0]
    assert [point.received_per_s for point in curve] == [1.2e6] * 5 + [1.0e6]


def test_a_device_that_loses_everything_has_a_curve_to_the_end(lab: Lab) -> None:
    bench = lab.bench(SimulatedDut(capacity_per_s=0))
    loss(bench, LossKeys(step_percent=25, trial_s=1.0))
    assert [point.loss_ratio for point in bench.parts.loss_curve] == [1.0] * 4


# ----------------------------------------------------------------------------------------------- throughput


def test_a_rate_that_is_given_is_not_searched_for(lab: Lab) -> None:
    bench = lab.bench(SimulatedDut())
    assert throughput(bench, BenchProfile(rate_per_s=5e5), "pdr") == 5e5
    assert lab.rates == []


def test_a_throughput_that_was_found_is_not_searched_for_again(lab: Lab) -> None:
    bench = lab.bench(SimulatedDut(capacity_per_s=1.2e6))
    found = throughput(bench, BenchProfile(), "pdr")
    assert found == pytest.approx(1.2e6, rel=0.01)
    trials = len(lab.rates)
    assert throughput(bench, BenchProfile(), "pdr") == found
    assert len(lab.rates) == trials


@pytest.mark.parametrize(
    ("goals", "throughput_of", "searched"),
    [
        (("quick",), "pdr", "quick_pdr"),
        (("quick",), "ndr", "quick_ndr"),
        (("rfc2544", "ndr"), "ndr", "rfc2544"),
        (("rfc2544",), "pdr", "pdr"),
        (("pdr",), "ndr", "ndr"),
    ],
)
def test_a_throughput_is_searched_for_by_the_profiles_goal_of_its_kind(
    lab: Lab, goals: tuple[GoalName, ...], throughput_of: str, searched: str
) -> None:
    bench = lab.bench(SimulatedDut(capacity_per_s=1.2e6))
    assert throughput(bench, BenchProfile(goals=goals), throughput_of) == pytest.approx(1.2e6, rel=0.03)
    assert [goal.name for goal in bench.parts.goals] == [searched]


def test_a_device_that_drops_everything_has_no_throughput_and_the_error_says_so(lab: Lab) -> None:
    bench = lab.bench(SimulatedDut(capacity_per_s=0))
    with pytest.raises(
        NoThroughput, match=r"which nothing is lost.* --rate gives one \(no load is low enough"
    ):
        throughput(bench, BenchProfile(), "ndr")
    assert not any(run.regular for runs in bench.parts.goals.values() for run in runs)


# -------------------------------------------------------------------------------------------------- latency


def test_latency_is_measured_at_parts_of_the_throughput(lab: Lab) -> None:
    bench = lab.bench(SimulatedDut(), directions=2)
    latency(bench, LatencyKeys(loads_percent=(0, 50), duration_s=4.0, trial_s=2.0), 1e6, "pdr")
    assert [(row.load, row.direction, row.trials) for row in bench.parts.latency] == [
        ("pdr_0", "forward", 2),
        ("pdr_0", "backward", 2),
        ("pdr_50", "forward", 2),
        ("pdr_50", "backward", 2),
    ]
    assert lab.rates == [IDLE_PER_S] * 2 + [5e5] * 2


def test_a_disturbed_trial_costs_a_repetition_and_its_frames_are_not_counted(lab: Lab) -> None:
    bench = lab.bench(SimulatedDut(), STOLEN)
    latency(bench, LatencyKeys(loads_percent=(50,), duration_s=2.0, trial_s=1.0), 1e6, "rate")
    assert len(lab.rates) == 3
    assert bench.parts.latency[0].trials == 2


def spread_evenly(low: int, high: int) -> Distribution:
    """One sample at each microsecond."""
    buckets = tuple((value * 1000, 1) for value in range(low, high + 1))
    return Distribution(
        samples=len(buckets),
        min_ns=low * 1000,
        mean_ns=(low + high) * 500,
        max_ns=high * 1000,
        buckets=buckets,
    )


def test_merged_distributions_are_those_of_all_their_samples() -> None:
    both = merged([spread_evenly(1, 10_000), spread_evenly(10_001, 20_000), Distribution(samples=0)])
    assert both.samples == 20_000
    assert (both.min_ns, both.max_ns, both.mean_ns) == (1000, 20_000_000, 10_000_500)
    assert (both.p50_ns, both.p90_ns, both.p99_ns) == (10_000_000, 18_000_000, 19_800_000)
    assert both.p999_ns is None  # 20 samples above it tell nothing
    assert both.p9999_ns is None


def test_equal_buckets_of_two_trials_are_one() -> None:
    assert merged([spread_evenly(5, 6), spread_evenly(6, 7)]).buckets == ((5000, 1), (6000, 2), (7000, 1))


def test_nothing_merged_is_empty() -> None:
    assert merged([]) == merged([Distribution(samples=0)]) == Distribution(samples=0)


# ---------------------------------------------------------------------------------------------------- burst


class Buffer(SimulatedDut):
    """Keeps so many frames of a burst, and nothing of the rest."""

    def __init__(self, frames: int) -> None:
        super().__init__()
        self.frames = frames

    def forwards(self, load: Load, frames: int) -> int:
        return min(frames, self.frames)


@pytest.mark.parametrize("buffer", [1, 63, 64, 1000, 123_456])
def test_the_longest_burst_is_as_long_as_the_buffer(lab: Lab, buffer: int) -> None:
    bench = lab.bench(Buffer(buffer))
    burst(bench, BurstKeys(repeats=3), None)
    found = bench.parts.burst
    assert found is not None
    assert len(found.frames) == 3
    assert all(buffer * (1 - WIDTH) <= frames <= buffer for frames in found.frames)
    assert found.buffer_s == pytest.approx(buffer / MAX_PER_S, rel=WIDTH)
    assert all(load.burst_frames for load in lab.tester.loads)
    assert not bench.parts.why_not


def test_what_leaves_during_the_burst_was_not_buffered(lab: Lab) -> None:
    bench = lab.bench(Buffer(1000))
    burst(bench, BurstKeys(repeats=1), MAX_PER_S / 4)
    assert bench.parts.burst is not None
    assert bench.parts.burst.corrected_buffer_s == pytest.approx(bench.parts.burst.buffer_s * 0.75)


def test_a_device_that_keeps_up_has_no_longest_burst_and_the_result_says_so(lab: Lab) -> None:
    bench = lab.bench(SimulatedDut(capacity_per_s=1e9))
    burst(bench, BurstKeys(repeats=1, max_frames=5000), None)
    assert bench.parts.burst is not None
    assert bench.parts.burst.frames == (5000,)
    assert bench.parts.why_not == ["burst: nothing was lost of 5000 frames, the longest burst that was tried"]


def test_a_device_that_drops_everything_has_no_burst(lab: Lab) -> None:
    bench = lab.bench(Buffer(0))
    burst(bench, BurstKeys(repeats=1), None)
    assert bench.parts.burst is not None
    assert bench.parts.burst.frames == (0,)


# ----------------------------------------------------------------------------------------------------- soak


def test_a_soak_counts_all_its_frames_and_bounds_the_loss(lab: Lab) -> None:
    bench = lab.bench(SimulatedDut(), directions=2)
    soak(bench, SoakKeys(load_percent=90, duration_s=25.0, trial_s=10.0), 1e6)
    found = bench.parts.soak
    assert found is not None
    assert [load.duration_s for load in lab.tester.loads] == [10.0, 10.0, 5.0]
    assert (found.load_per_s, found.duration_s, found.lost) == (9e5, 25.0, 0)
    assert found.frames == 2 * 25 * 900_000
    assert found.loss_ratio_below == pytest.approx(3 / found.frames, rel=0.01)


def test_the_bound_of_a_loss_ratio_is_that_of_the_tables() -> None:
    """Upper 95 % limits of a Poisson mean: 3.00, 4.74, 16.96 for 0, 1, 10 events."""
    assert loss_ratio_below(0, 1000) == pytest.approx(0.0030, rel=0.01)
    assert loss_ratio_below(1, 1000) == pytest.approx(0.00474, rel=0.01)
    assert loss_ratio_below(10, 1000) == pytest.approx(0.01696, rel=0.01)
    assert loss_ratio_below(1000, 1000) == 1.0
    assert loss_ratio_below(0, 0) == 1.0


# -------------------------------------------------------------------------------------------------- outages


class Struck(SimulatedDut):
    """Loses a thousand frames of the trial in which it is struck."""

    def forwards(self, load: Load, frames: int) -> int:
        assert EVENT.wait(30)
        return frames - 1000


EVENT = threading.Event()


@pytest.fixture(autouse=True)
def _no_event() -> None:
    EVENT.clear()


def strike() -> Callable[[], None]:
    EVENT.clear()
    return EVENT.set


def test_an_outage_is_what_was_lost_by_the_load(lab: Lab) -> None:
    bench = lab.bench(Struck())
    outage(bench, OutageKeys(load_percent=50, trial_s=0.1), 1e6, "worker 0 killed", strike)
    (found,) = bench.parts.outages
    assert (found.event, found.load_per_s, found.lost, found.blocked_s) == (
        "worker 0 killed",
        5e5,
        1000,
        0.002,
    )


def test_each_attempt_at_a_trial_has_its_event(lab: Lab) -> None:
    """A disturbed trial is made again, and so is what it was about."""
    bench = lab.bench(Struck(), STOLEN, STOLEN)
    prepared = []

    def prepare() -> Callable[[], None]:
        prepared.append(1)
        return strike()

    outage(bench, OutageKeys(trial_s=0.1), 1e6, "event", prepare)
    assert len(prepared) == len(lab.tester.loads) == 3


@pytest.mark.slow
def test_a_machine_that_is_never_quiet_is_told(lab: Lab) -> None:
    bench = lab.bench(Struck(), *[STOLEN] * VOID_IN_A_ROW)
    with pytest.raises(TooNoisy, match="steal"):
        outage(bench, OutageKeys(trial_s=0.1), 1e6, "event", strike)
    assert bench.parts.outages == []


def test_an_event_that_fails_is_an_error_of_the_test(lab: Lab) -> None:
    bench = lab.bench(SimulatedDut())

    def fail() -> None:
        raise TtfwdError("no such port")

    lab.tester._before_trial = lambda number: time.sleep(0.2)
    with pytest.raises(TtfwdError, match="no such port"):
        outage(bench, OutageKeys(trial_s=0.1), 1e6, "event", lambda: fail)


def test_bounds_of_an_earlier_search_are_the_least(lab: Lab) -> None:
    """Loads come from what every start of the device can do."""
    bench = lab.bench(SimulatedDut(capacity_per_s=1.2e6))
    throughput(bench, BenchProfile(), "pdr")
    (goal,) = bench.parts.goals
    worse = bench.parts.goals[goal][0].model_copy(update={"lower_per_s": 1e5})
    bench.parts.add_run(goal, GoalRun.model_validate(worse))
    assert throughput(bench, BenchProfile(), "pdr") == 1e5

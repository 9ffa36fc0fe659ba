# SPDX-License-Identifier: Apache-2.0
"""The self-test finds what the tester can do, and by that when a trial is void."""

from __future__ import annotations

from pathlib import Path

import pytest

from forwarder.bench.journal import Journal
from forwarder.bench.limits import Limits
from forwarder.bench.runner import TooNoisy
from forwarder.bench.selftest import NoSelftest, selftest
from forwarder.results.model import Disturbance, Selftest
from tests.support.simulated import (
    SimulatedClock,
    SimulatedDut,
    SimulatedMachine,
    SimulatedTester,
    simulated_runner,
)

CEILING_PER_S = 1.8e6


def a_tester(receives_per_s: float = 1e9) -> SimulatedTester:
    """The loop without a DUT: what takes its place here is the receiver."""
    return SimulatedTester(SimulatedDut(receives_per_s), SimulatedClock(), ceiling_per_s=CEILING_PER_S)


def run(directory: Path, tester: SimulatedTester, machine: SimulatedMachine | None = None) -> Selftest:
    with Journal(directory) as journal:
        found = selftest(simulated_runner(tester, journal, machine=machine, limits=Limits()), "60")
        assert journal.tally.lost.total == 0  # frames that the tester loses itself are no DUT's
        return found


def test_the_maximum_load_is_what_the_generator_keeps_up(tmp_path: Path) -> None:
    found = run(tmp_path, a_tester())
    assert 0.9 * CEILING_PER_S <= found.max_load_per_s <= CEILING_PER_S
    assert found.max_load_sizes == "60"


def test_a_receiver_below_the_generator_sets_it(tmp_path: Path) -> None:
    found = run(tmp_path, a_tester(receives_per_s=1e6))
    assert 0.9e6 <= found.max_load_per_s <= 1e6


def test_a_duplicated_load_is_tried_until_two_trials_lose_nothing(tmp_path: Path) -> None:
    tester = a_tester()
    found = run(tmp_path, tester)
    at_max = [load for load in tester.loads if load.per_s == found.max_load_per_s]
    assert len(at_max) == 2


def test_limits_are_twice_the_floor(tmp_path: Path) -> None:
    tester = a_tester()
    tester.lateness_p999_ns, tester.preemptions = 400_000, 80
    found = run(tmp_path, tester)
    assert found.limit_lateness_p999_ns == 800_000
    assert found.limit_preemptions_per_s == 160
    assert found.lateness.p999_ns == 400_000


def test_limits_of_a_quiet_machine_leave_room(tmp_path: Path) -> None:
    tester = a_tester()
    tester.lateness_p999_ns, tester.preemptions = 900, 0
    found = run(tmp_path, tester)
    assert found.limit_lateness_p999_ns == 20_000
    assert found.limit_preemptions_per_s == 50


def test_a_tester_that_receives_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NoSelftest, match="doesn't receive what it sends"):
        run(tmp_path, a_tester(receives_per_s=0))


def test_a_busy_machine_is_refused(tmp_path: Path) -> None:
    busy = Disturbance(foreign_cpu_ratio=0.5, steal_ratio=0.0)
    with pytest.raises(TooNoisy, match="foreign CPU time 50"):
        run(tmp_path, a_tester(), SimulatedMachine(*[busy] * 10))

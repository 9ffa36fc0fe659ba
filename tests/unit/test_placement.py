# SPDX-License-Identifier: Apache-2.0
"""A worker whose CPU is gone runs elsewhere meanwhile, is shown there, and returns to its CPU later."""

from __future__ import annotations

import os
from collections.abc import Iterable

import pytest

from forwarder.config.cpus import usable_cpus
from forwarder.supervisor.placement import Placement

NOW_NS = 5_000_000_000_000


class Machine:
    """CPUs that are allowed, and the masks of processes."""

    def __init__(self, cpus: Iterable[int]) -> None:
        self.cpus = frozenset(cpus)
        self.masks: dict[int, set[int]] = {}
        self.refuses: int = 0  # the errno of every pinning

    def allowed(self) -> frozenset[int]:
        return self.cpus

    def shrink(self, cpus: Iterable[int]) -> None:
        """As the kernel does: a process that has no CPU left may run on all that are allowed."""
        self.cpus = frozenset(cpus)
        for pid, mask in self.masks.items():
            self.masks[pid] = mask & self.cpus or set(self.cpus)

    def getaffinity(self, pid: int) -> set[int]:
        if pid not in self.masks:
            raise ProcessLookupError
        return set(self.masks[pid])

    def setaffinity(self, pid: int, cpus: set[int]) -> None:
        if self.refuses:
            raise OSError(self.refuses, os.strerror(self.refuses))
        self.masks[pid] = cpus & self.cpus
        assert self.masks[pid], "EINVAL"


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    found = Machine(range(8))
    monkeypatch.setattr(os, "sched_getaffinity", found.getaffinity)
    monkeypatch.setattr(os, "sched_setaffinity", found.setaffinity)
    return found


def placement(machine: Machine, *homes: int) -> Placement:
    return Placement(homes, machine.allowed, machine.allowed)


def test_a_start_takes_an_allowed_cpu_that_fewest_workers_have(machine: Machine) -> None:
    place = placement(machine, 0, 1, 2, 3)
    assert [place.for_start(worker) for worker in range(4)] == [0, 1, 2, 3]
    machine.shrink((0, 1))
    assert sorted((place.for_start(2), place.for_start(3))) == [0, 1]
    assert [place.for_start(worker) for worker in (0, 1)] == [0, 1]
    machine.shrink(range(8))
    assert [place.for_start(worker) for worker in (2, 3)] == [2, 3]


def test_a_cpu_of_the_configuration_comes_before_a_free_one(machine: Machine) -> None:
    place = placement(machine, 4, 5)
    machine.shrink((0, 1, 4))
    assert place.for_start(1) == 4
    machine.shrink((0, 1))
    assert [place.for_start(worker) for worker in (0, 1)] == [0, 1]


def test_a_running_worker_is_followed_and_brought_back(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    place = placement(machine, 2, 3)
    machine.masks = {71: {2}, 72: {3}}
    assert [place.look(0, 71, NOW_NS), place.look(1, 72, NOW_NS)] == [2, 3]
    assert caplog.messages == []
    machine.shrink((0, 1, 2))
    assert [place.look(0, 71, NOW_NS), place.look(1, 72, NOW_NS)] == [2, 2]
    assert machine.masks == {71: {2}, 72: {2}}
    machine.shrink((0, 1))
    assert [place.look(0, 71, NOW_NS), place.look(1, 72, NOW_NS)] == [0, 1]
    assert [place.look(0, 71, NOW_NS), place.look(1, 72, NOW_NS)] == [0, 1]
    machine.shrink(range(8))
    assert [place.look(0, 71, NOW_NS), place.look(1, 72, NOW_NS)] == [2, 3]
    assert machine.masks == {71: {2}, 72: {3}}
    assert caplog.messages == [
        "worker 1 may not run on its CPU 3 now (allowed: 0-2): it is pinned to CPU 2",
        "worker 0 may not run on its CPU 2 now (allowed: 0-1): it is pinned to CPU 0",
        "worker 1 may not run on its CPU 3 now (allowed: 0-1): it is pinned to CPU 1",
        "worker 0 is pinned to its CPU 2 again",
        "worker 1 is pinned to its CPU 3 again",
    ]


def test_a_worker_that_may_not_be_pinned_is_shown_where_the_kernel_put_it(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    place = placement(machine, 3)
    machine.masks = {71: {3}}
    machine.shrink((1, 2))
    machine.refuses = 1  # EPERM
    assert place.look(0, 71, NOW_NS) == 1
    assert "can't be pinned to CPU 1: Operation not permitted; it may run on 1-2" in caplog.text
    machine.shrink(range(8))
    machine.masks[71] = {3}  # the kernel gives back what was asked for
    assert place.look(0, 71, NOW_NS) == 3


def test_a_fight_over_a_worker_does_not_fill_the_log(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    place = placement(machine, 3)
    for second in range(600):
        machine.masks = {71: {0, 1}}
        assert place.look(0, 71, NOW_NS + second * 10**9) == 3
    assert len(caplog.messages) < 20


def test_a_dead_worker_is_left_alone(machine: Machine) -> None:
    assert placement(machine, 3).look(0, 71, NOW_NS) == 3


def test_asking_which_cpus_are_usable_leaves_this_process_where_it_is() -> None:
    before = os.sched_getaffinity(0)
    one = {min(before)}
    os.sched_setaffinity(0, one)
    try:
        assert usable_cpus() >= before
        assert os.sched_getaffinity(0) == one
    finally:
        os.sched_setaffinity(0, before)

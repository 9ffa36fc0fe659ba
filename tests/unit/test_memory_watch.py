# SPDX-License-Identifier: Apache-2.0
"""What the supervisor does about spoilt memory. Shared memory and worker pool are fakes."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest

from forwarder.supervisor.memory_watch import MemoryWatch
from forwarder.supervisor.shared_state import RingFault


class Fakes:
    """Workers `alive` have a process. Notes what is done, in order."""

    def __init__(self, workers: int, alive: set[int]) -> None:
        self.workers = [
            SimpleNamespace(index=index, process=object() if index in alive else None)
            for index in range(workers)
        ]
        self.done: list[tuple[Any, ...]] = []
        self.faults: list[RingFault] = []
        self.damaged: dict[int, str] = {}

    # the state
    def damage(self, worker: int) -> str | None:
        return self.damaged.pop(worker, None)

    def ring_faults(self) -> list[RingFault]:
        found, self.faults = self.faults, []
        return found

    def empty_ring(self, fault: RingFault) -> None:
        self.done.append(("empty", fault.producer, fault.consumer))

    def recover(self, worker: int) -> int:
        self.done.append(("recover", worker))
        return 0

    def drop_waiting(self, worker: int) -> int:
        self.done.append(("drop", worker))
        return 0

    # the pool
    def condemn(self, index: int, why: str) -> None:
        self.done.append(("condemn", index))

    def end(self, index: int, why: str, *, is_blameless: bool) -> None:
        self.done.append(("end", index, is_blameless))

    def watch(self) -> MemoryWatch:
        fakes: Any = self
        return MemoryWatch(fakes, fakes)


def test_both_ends_are_dead_before_the_ring_is_emptied() -> None:
    fakes = Fakes(3, {0, 1, 2})
    fakes.faults = [RingFault(0, 2, "tail 5")]
    fakes.watch().mend()
    assert fakes.done == [("end", 0, False), ("end", 2, False), ("empty", 0, 2)]


def test_an_end_that_was_buried_before_is_recovered_here() -> None:
    fakes = Fakes(2, {1})
    fakes.faults = [RingFault(1, 0, "tail 5")]
    fakes.watch().mend()
    assert fakes.done[-2:] == [("empty", 1, 0), ("recover", 0)]


def test_a_worker_that_spoils_its_rings_again_and_again_is_blamed_alone() -> None:
    fakes = Fakes(4, {0, 1, 2, 3})
    watch = fakes.watch()
    for other in (1, 2, 3, 1, 2, 3):
        fakes.faults = [RingFault(0, other, "tail 5")]
        watch.mend()
    blamed = [done[1] for done in fakes.done if done[0] == "end" and not done[2]]
    assert blamed == [0, 1, 0, 0, 0, 0, 0], "the first time nobody knows which of the two did it"


def test_spoilt_counters_are_told_even_if_the_worker_is_dead(caplog: pytest.LogCaptureFixture) -> None:
    fakes = Fakes(2, {0})
    fakes.damaged = {1: "rx_packets of port id 0 was 0x1"}
    with caplog.at_level(logging.ERROR):
        fakes.watch().mend()
    assert "worker 1 spoilt its counters: rx_packets of port id 0 was 0x1" in caplog.text
    assert fakes.done == [("condemn", 1)]


def test_who_spoilt_its_counters_is_blamed_for_its_rings_as_well() -> None:
    fakes = Fakes(2, {0, 1})
    fakes.damaged = {1: "rounds was 0x1"}
    fakes.faults = [RingFault(0, 1, "tail 5")]
    fakes.watch().mend()
    assert fakes.done == [("condemn", 1), ("end", 0, True), ("end", 1, False), ("empty", 0, 1)]


def test_what_waits_for_the_dead_is_dropped_and_nothing_is_looked_at_too_often() -> None:
    fakes = Fakes(3, {1})
    watch = fakes.watch()
    for now_ns in (10**9, 10**9 + 1, 2 * 10**9):
        watch.look_when_due(now_ns)
    assert fakes.done == [("drop", 0), ("drop", 2)] * 2

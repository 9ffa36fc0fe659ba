# SPDX-License-Identifier: Apache-2.0
"""A supervisor that was stopped, frozen or suspended holds none of that time against its workers."""

from __future__ import annotations

from forwarder.supervisor.watch_clock import STEP_NS, WatchClock
from forwarder.supervisor.watcher import Watched

SECOND_NS = 1_000_000_000


class Fake:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.ns = 5_000 * SECOND_NS

    def __call__(self) -> int:
        return self.ns


def test_time_that_is_watched_counts_in_full() -> None:
    real = Fake()
    clock = WatchClock(real)
    began = clock.now_ns()
    for _ in range(1_000):
        real.ns += 100_000_000
        now = clock.now_ns()
    assert now - began == 100 * SECOND_NS
    assert clock.now_ns() == now


def test_an_hour_in_which_nobody_looked_counts_as_one_step() -> None:
    real = Fake()
    clock = WatchClock(real)
    began = clock.now_ns()
    real.ns += 3_600 * SECOND_NS
    assert clock.now_ns() - began == STEP_NS


def test_a_heartbeat_counts_by_its_changes_whatever_its_value() -> None:
    watched = Watched(since_ns=100)
    assert watched.silent_ns(heartbeat_ns=77, now_ns=110) == 0
    assert watched.silent_ns(77, 150) == 40
    assert watched.silent_ns(2**64 - 1, 160) == 0  # garbage: a sign of life, and a lie
    assert watched.silent_ns(2**64 - 1, 1_160) == 1_000  # garbage that stays: it hangs
    assert watched.silent_ns(0, 1_170) == 0

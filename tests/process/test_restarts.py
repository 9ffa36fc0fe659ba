# SPDX-License-Identifier: Apache-2.0
"""Workers that die, hang, lie and start slowly. The worker pool is real, its processes are mostly fakes."""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from forwarder.config.model import Config
from forwarder.native import lib
from forwarder.supervisor.restart_policy import MAX_FAILED_STARTS
from forwarder.supervisor.shared_state import SharedState
from forwarder.supervisor.watch_clock import WatchClock
from forwarder.supervisor.worker_events import CameBack, Event, Restarted, WentAway
from forwarder.supervisor.worker_pool import WorkerPool
from forwarder.supervisor.worker_process import Launch, WorkerProcess
from forwarder.supervisor.worker_state import WorkerState
from forwarder.worker.messages import Message, QueueError, Ready
from tests.process.topology import is_ready, standbys_of
from tests.support.commands import unique
from tests.support.instance import instance

SIGKILLED = -9
SECOND_NS = 1_000_000_000


class FakeClock:
    """CLOCK_MONOTONIC, which a test moves."""

    def __init__(self) -> None:
        self.ns = time.monotonic_ns()

    def __call__(self) -> int:
        return self.ns


class FakeProcess:
    """A process that ended with `code`, or still runs if that is None."""

    def __init__(self, code: int | None) -> None:
        self.code = code
        self.pid = os.getpid()
        self.condemned: str | None = None
        self.abort_sent_ns = self.deaf_since_ns = 0
        self.channel = SimpleNamespace(send=lambda *_: None)
        self.output = SimpleNamespace(lines=lambda: ())
        self.says: list[Message] = []
        self.signals: list[int] = []

    def messages(self, _: int) -> Iterator[Message]:
        while self.says and self.condemned is None:
            yield self.says.pop(0)

    def exit_code(self) -> int | None:
        return self.code

    def why_it_ended(self, code: int) -> str:
        return self.condemned or f"code {code}"

    def signal(self, number: int) -> None:
        self.signals.append(number)

    def kill(self) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def pool(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[WorkerPool]:
    """A pool whose time is the test's. Its worker 0 is tested; worker 1, if READY, could take its flows."""
    monkeypatch.setattr(time, "monotonic_ns", clock)
    config = Config(name=unique("tr"), queues=2)
    with SharedState(config, (0, 0)) as state:
        found = WorkerPool(config, (0, 0), state, WatchClock(clock), Launch(config.name), "none")
        found.end_of_boot()
        yield found
        found.close()


def process_of(pool: WorkerPool) -> FakeProcess:
    return cast(FakeProcess, pool.workers[0].process)


def state_of(pool: WorkerPool) -> WorkerState:
    return pool.workers[0].state


def dies(pool: WorkerPool, state: WorkerState) -> list[Event]:
    worker: Any = pool.workers[0]
    worker.state, worker.process = state, FakeProcess(SIGKILLED)
    return list(pool.reap())


def start_yields(monkeypatch: pytest.MonkeyPatch, code: int | None) -> None:
    monkeypatch.setattr(WorkerProcess, "start", lambda _: FakeProcess(code))


def starts(pool: WorkerPool, monkeypatch: pytest.MonkeyPatch) -> FakeProcess:
    """A fresh process of the worker, which has said nothing yet."""
    start_yields(monkeypatch, None)
    worker: Any = pool
    worker._start(pool.workers[0])
    return process_of(pool)


def runs(pool: WorkerPool, monkeypatch: pytest.MonkeyPatch) -> FakeProcess:
    """A process of the worker that is READY."""
    process = starts(pool, monkeypatch)
    process.says = [Ready()]
    assert list(pool.hear()) == [CameBack(0)]
    return process


def test_a_worker_that_no_process_can_be_had_for_backs_off_and_is_tried_again(
    pool: WorkerPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_: object) -> WorkerProcess:
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(WorkerProcess, "start", refused)
    assert dies(pool, WorkerState.READY) == [WentAway(0)]
    worker: Any = pool.workers[0]
    assert worker.state is WorkerState.BACKOFF
    assert pool.away() == [0]

    assert list(pool.restart_due(worker.restart_at_ns - 1)) == []
    start_yields(monkeypatch, None)
    assert list(pool.restart_due(worker.restart_at_ns)) == [Restarted(0)]
    assert pool.workers[0].state is WorkerState.STARTING
    assert pool.away() == [0]  # until it is ready: a port that is connected now steers nothing to it


def test_a_worker_that_never_gets_ready_is_tried_again_until_it_does(
    pool: WorkerPool, monkeypatch: pytest.MonkeyPatch, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    start_yields(monkeypatch, 1)
    events = dies(pool, WorkerState.READY)
    worker = pool.workers[0]
    for _ in range(MAX_FAILED_STARTS):
        events += pool.reap()
    assert state_of(pool) is WorkerState.FAILED
    assert events == [Restarted(0)] * MAX_FAILED_STARTS + [WentAway(0)]

    hour_ns = clock.ns + 3_600 * SECOND_NS
    caplog.clear()
    tries = 0
    while clock.ns < hour_ns:
        clock.ns = worker.restart_at_ns
        assert list(pool.restart_due(clock.ns)) == [Restarted(0)]
        assert list(pool.reap()) == []  # it is away already
        tries += 1
    assert 60 <= tries <= 70
    assert len([line for line in caplog.messages if "times in a row" in line]) <= 61
    assert pool.away() == [0]

    start_yields(monkeypatch, None)
    clock.ns = worker.restart_at_ns
    assert list(pool.restart_due(clock.ns)) == [Restarted(0)]
    process_of(pool).says = [Ready()]
    assert list(pool.hear()) == [CameBack(0)]
    assert state_of(pool) is WorkerState.READY
    assert pool.away() == []
    start_yields(monkeypatch, None)
    process_of(pool).code = SIGKILLED
    assert list(pool.reap()) == [Restarted(0)]  # at once, as if it had never failed


def test_queues_are_steered_away_before_others_see_that_nobody_serves_them(
    pool: WorkerPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the statistics show "backoff", the queue's discarded packets are already counted."""
    start_yields(monkeypatch, None)
    states = []
    for _ in range(8):
        worker: Any = pool.workers[0]
        worker.state, worker.process = WorkerState.READY, FakeProcess(SIGKILLED)
        states += [pool.workers[0].state for event in pool.reap() if event == WentAway(0)]
        if states:
            break
    assert states == [WorkerState.READY]
    assert pool.workers[0].state is WorkerState.BACKOFF


# ------------------------------------------------------------------------------------ patience


def watched_for(pool: WorkerPool, clock: FakeClock, seconds: float, beats: bool = False) -> list[Event]:
    """What the pool does while it watches for that long, with a worker whose heart beats or not."""
    events: list[Event] = []
    for _ in range(round(seconds * 10)):
        clock.ns += SECOND_NS // 10
        if beats:
            write_heartbeat(pool, clock.ns)
        events += pool.watch()
    return events


def write_heartbeat(pool: WorkerPool, value_ns: int) -> None:
    anything: Any = pool
    lib.ttf_stats_worker(anything._state._stats.base, 0).heartbeat_ns = value_ns


def test_a_quick_start_moves_no_flow(
    pool: WorkerPool, monkeypatch: pytest.MonkeyPatch, clock: FakeClock
) -> None:
    pool.workers[1].state = WorkerState.READY
    process = starts(pool, monkeypatch)
    assert watched_for(pool, clock, 0.5) == []
    process.says = [Ready()]
    assert list(pool.hear()) == [CameBack(0)]
    assert watched_for(pool, clock, 5, beats=True) == []


def test_a_slow_start_is_not_waited_for_by_flows(
    pool: WorkerPool, monkeypatch: pytest.MonkeyPatch, clock: FakeClock
) -> None:
    process = starts(pool, monkeypatch)
    assert watched_for(pool, clock, 5) == []  # there is nobody else to take them
    pool.workers[1].state = WorkerState.READY
    assert watched_for(pool, clock, 10) == [WentAway(0)]
    assert pool.away() == [0]
    process.says = [Ready()]
    assert list(pool.hear()) == [CameBack(0)]
    assert pool.away() == []
    assert process.signals == []  # it had 20 s
    assert watched_for(pool, clock, 10, beats=True) == []


def test_a_worker_that_hangs_is_aborted_and_one_that_only_waited_is_not(
    pool: WorkerPool, monkeypatch: pytest.MonkeyPatch, clock: FakeClock
) -> None:
    process = runs(pool, monkeypatch)
    assert watched_for(pool, clock, 60, beats=True) == []
    for _ in range(100):  # the supervisor itself is stopped again and again
        clock.ns += 3_600 * SECOND_NS
        assert list(pool.watch()) == []
        write_heartbeat(pool, clock.ns)
    assert process.signals == []
    watched_for(pool, clock, 2.5)
    assert process.signals == [signal.SIGABRT]
    watched_for(pool, clock, 0.6)
    assert process.signals == [signal.SIGABRT, signal.SIGKILL]


def test_a_killed_worker_that_the_kernel_keeps_does_not_keep_its_flows(
    pool: WorkerPool, monkeypatch: pytest.MonkeyPatch, clock: FakeClock
) -> None:
    """As a process in a frozen cgroup of version 1: SIGKILL waits until it is thawed."""
    pool.workers[1].state = WorkerState.READY
    process = runs(pool, monkeypatch)
    pool.condemn(0, "killed by this test")
    assert watched_for(pool, clock, 10) == [WentAway(0)]
    assert process.signals == [signal.SIGKILL]
    process.code = SIGKILLED
    assert list(pool.reap()) == [Restarted(0)]
    process_of(pool).says = [Ready()]
    assert list(pool.hear()) == [CameBack(0)]


def test_the_watchdog_is_fed_until_the_supervisor_has_done_what_it_can(
    pool: WorkerPool, monkeypatch: pytest.MonkeyPatch, clock: FakeClock
) -> None:
    """A kill and a slow start are over by then; a frozen supervisor blames nobody."""
    process = runs(pool, monkeypatch)
    watched_for(pool, clock, 1, beats=True)
    clock.ns += 3_600 * SECOND_NS
    list(pool.watch())
    assert 0 not in pool.beyond_remedy()
    write_heartbeat(pool, clock.ns)
    watched_for(pool, clock, 2.5)
    assert process.signals == [signal.SIGABRT]
    assert 0 not in pool.beyond_remedy()
    process.code = SIGKILLED
    assert list(pool.reap()) == [Restarted(0)]
    watched_for(pool, clock, 38)  # the start takes long
    assert 0 not in pool.beyond_remedy()
    watched_for(pool, clock, 5)
    assert 0 in pool.beyond_remedy()
    process_of(pool).says = [Ready()]
    assert list(pool.hear()) == []
    process_of(pool).code = SIGKILLED
    list(pool.reap())
    process_of(pool).says = [Ready()]
    assert list(pool.hear()) == [CameBack(0)]
    assert 0 not in pool.beyond_remedy()


# ------------------------------------------------------------------------------------ lies


def test_a_heartbeat_in_the_future_hides_no_hang(
    pool: WorkerPool, monkeypatch: pytest.MonkeyPatch, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    process = runs(pool, monkeypatch)
    write_heartbeat(pool, clock.ns + SECOND_NS // 2)  # the clock that it reads may differ a bit
    assert list(pool.watch()) == []
    assert process.signals == []
    write_heartbeat(pool, clock.ns + 9 * SECOND_NS)
    assert list(pool.watch()) == []
    assert process.signals == [signal.SIGKILL]
    assert f"worker 0 (process {process.pid}) killed for what it wrote into shared memory" in caplog.text
    assert "its heartbeat is 9.0 s in the future" in caplog.text


def test_a_run_state_that_is_none_is_a_lie(
    pool: WorkerPool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    process = runs(pool, monkeypatch)
    state: Any = pool
    monkeypatch.setattr(state._state, "run_state_seen", lambda _: 0xDEADBEEF)
    assert list(pool.watch()) == []
    assert process.signals == [signal.SIGKILL]
    assert "its run state is 3735928559, which is none" in caplog.text


def test_a_worker_may_send_as_much_as_an_honest_one_and_no_more(
    pool: WorkerPool, monkeypatch: pytest.MonkeyPatch, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    process = runs(pool, monkeypatch)
    for _ in range(60):  # every queue of 64 ports flaps in every slice of 250 ms
        clock.ns += SECOND_NS // 4
        process.says = [QueueError(port_id, "Network is down") for port_id in range(64)]
        assert len(list(pool.hear())) == 64
    assert process.condemned is None
    process.says = [QueueError(0, "Network is down")] * 100_000
    assert len(list(pool.hear())) < 3_000
    assert process.signals == [signal.SIGKILL]
    assert "killed because it sends more than 500 messages a second" in caplog.text


# ------------------------------------------------------------------------------------ standbys


def test_dead_workers_are_replaced_by_standbys_and_others_are_kept() -> None:
    with instance('mode = "rxonly"\nqueues = 2\n') as it:
        it.wait(lambda _: len(standbys_of(it)) == 1, "a standby")
        standbys = standbys_of(it)
        os.kill(it.worker_pids()[0], signal.SIGKILL)
        it.wait(lambda s: is_ready(s, 0, 1), "a new worker")
        assert it.worker_pids()[0] in standbys
        it.wait(lambda _: len(standbys_of(it)) == 1, "another standby")
        os.kill(it.worker_pids()[1], signal.SIGKILL)
        it.wait(lambda s: is_ready(s, 1, 1), "a new worker")
        it.wait(lambda _: len(standbys_of(it)) == 2, "two standbys, after two deaths")
        standbys = standbys_of(it)
        for pid in it.worker_pids():
            os.kill(pid, signal.SIGKILL)
        it.wait(lambda s: is_ready(s, 0, 2) and is_ready(s, 1, 2), "two new workers")
        assert set(it.worker_pids()) == standbys

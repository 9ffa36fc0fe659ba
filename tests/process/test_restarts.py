# SPDX-License-Identifier: Apache-2.0
"""Workers that can't be restarted. The worker pool is real, its processes are fakes."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from forwarder.config.model import Config
from forwarder.supervisor import worker_pool as pool_module
from forwarder.supervisor.shared_state import SharedState
from forwarder.supervisor.worker_pool import Event, Restarted, WentAway, WorkerPool
from forwarder.supervisor.worker_process import WorkerProcess
from forwarder.supervisor.worker_state import WorkerState
from tests.support.commands import unique
from tests.support.instance import Instance, instance

SIGKILLED = -9


class FakeProcess:
    """A process that ended with `code`, or still runs if that is None."""

    def __init__(self, code: int | None) -> None:
        self.code = code
        self.pid = 12345
        self.condemned = None
        self.abort_sent_ns = self.deaf_since_ns = 0
        self.channel = SimpleNamespace(send=lambda *_: None)

    def messages(self, _: int) -> Iterator[object]:
        return iter(())

    def exit_code(self) -> int | None:
        return self.code

    def why_it_ended(self, code: int) -> str:
        return f"code {code}"

    def signal(self, number: int) -> None:
        pass

    def kill(self) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.fixture
def pool() -> Iterator[WorkerPool]:
    config = Config(name=unique("tr"), queues=1)
    with SharedState(config, (0,)) as state:
        found = WorkerPool(config, (0,), state)
        found.end_of_boot()
        yield found
        found.close()


def dies(pool: WorkerPool, state: WorkerState) -> list[Event]:
    worker: Any = pool.workers[0]
    worker.state, worker.process = state, FakeProcess(SIGKILLED)
    return list(pool.reap())


def start_yields(monkeypatch: pytest.MonkeyPatch, code: int | None) -> None:
    monkeypatch.setattr(WorkerProcess, "start", lambda: FakeProcess(code))


def test_a_worker_that_no_process_can_be_had_for_backs_off_and_is_tried_again(
    pool: WorkerPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused() -> WorkerProcess:
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
    assert pool.away() == []


def test_a_worker_that_never_gets_ready_is_given_up_and_its_queues_stay_detached(
    pool: WorkerPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_yields(monkeypatch, 1)
    events = dies(pool, WorkerState.READY)
    worker = pool.workers[0]
    for _ in range(2 * pool_module.MAX_FAILED_STARTS):
        events += pool.reap()
        events += pool.restart_due(worker.restart_at_ns)
    assert worker.state is WorkerState.FAILED
    assert pool.away() == [0]
    assert worker.process is None
    assert events == [Restarted(0)] * pool_module.MAX_FAILED_STARTS + [WentAway(0)]


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


def standby_of(it: Instance) -> int | None:
    """The process that is neither the supervisor nor a worker, if there is exactly one."""
    others = {process.pid for process in it.processes()} - {it.process.pid, *it.worker_pids()}
    return others.pop() if len(others) == 1 else None


def test_a_dead_worker_is_replaced_by_the_standby_and_another_is_kept() -> None:
    with instance('mode = "rxonly"\nqueues = 2\n') as it:
        it.wait(lambda _: standby_of(it) is not None, "a standby")
        standby = standby_of(it)
        dead = it.worker_pids()[0]
        os.kill(dead, signal.SIGKILL)
        it.wait(lambda s: s.workers[0].pid not in (0, dead) and s.workers[0].state == "ready", "a new worker")
        assert it.worker_pids()[0] == standby
        it.wait(lambda _: standby_of(it) is not None, "another standby")

# SPDX-License-Identifier: Apache-2.0
"""What becomes of a worker that can't be brought back: the pool is real, its processes are fakes."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from forwarder.config.model import Config
from forwarder.supervisor import worker_pool as pool
from forwarder.supervisor.shared_state import SharedState
from forwarder.supervisor.worker_pool import Workers
from forwarder.supervisor.worker_process import Process, State
from tests.support.commands import unique
from tests.support.instance import Instance, instance

SIGKILLED = -9


class FakeProcess:
    """A process that has ended with `code`, or that lives while it is None."""

    def __init__(self, code: int | None) -> None:
        self.code = code
        self.last_error = None
        self.abort_sent_ns = 0
        self.popen = SimpleNamespace(pid=12345, wait=lambda: None)
        self.channel = SimpleNamespace(send=lambda *_, **__: None, receive=lambda: None)

    def reap(self) -> int | None:
        return self.code

    def signal(self, number: int) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.fixture
def attached() -> list[tuple[int, bool]]:
    return []


@pytest.fixture
def workers(attached: list[tuple[int, bool]]) -> Iterator[Workers]:
    config = Config(name=unique("tr"), queues=1)
    with SharedState(config, (0,)) as segments:
        found = Workers(
            config, (0,), segments, lambda *_: None, lambda worker, on: attached.append((worker, on))
        )
        found.booting = False
        yield found
        found.close()


def dies(workers: Workers, state: State) -> None:
    child: Any = workers.children[0]
    child.state, child.process = state, FakeProcess(SIGKILLED)
    workers.reap()


def test_a_worker_that_no_process_can_be_had_for_backs_off_and_is_tried_again(
    workers: Workers, attached: list[tuple[int, bool]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused() -> Process:
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(Process, "start", refused)
    dies(workers, State.READY)
    child = workers.children[0]
    assert child.state is State.BACKOFF
    assert attached == [(0, False)]

    workers.reconcile(child.restart_at_ns - 1)
    assert child.state is State.BACKOFF
    monkeypatch.setattr(Process, "start", lambda: FakeProcess(None))
    workers.reconcile(child.restart_at_ns)
    assert workers.children[0].state is State.STARTING


def test_a_worker_that_never_gets_ready_is_given_up_and_its_queues_stay_detached(
    workers: Workers, attached: list[tuple[int, bool]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Process, "start", lambda: FakeProcess(1))
    dies(workers, State.READY)
    child = workers.children[0]
    for _ in range(2 * pool.MAX_FAILED_STARTS):
        workers.reap()
        workers.reconcile(child.restart_at_ns)
    assert child.state is State.FAILED
    assert child.process is None
    assert attached[-1] == (0, False)


def standby_of(it: Instance) -> int | None:
    """The process that is neither the supervisor nor a worker, if there is just one."""
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

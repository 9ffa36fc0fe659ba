# SPDX-License-Identifier: Apache-2.0
"""Queues of dead workers are emptied by a process that is believed within bounds, and may die of it."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from forwarder.native import lib
from forwarder.supervisor import discarder as module
from forwarder.supervisor.discarder import Discarder
from forwarder.worker.channel import ChannelClosed
from forwarder.worker.messages import Delivery, Discard, Discarded, Failed, Message, Ready

QUEUES = [Delivery(Discard(0, 10), (fd,)) for fd in range(3)]


class FakeProcess:
    """Says these things; None: it dies instead."""

    def __init__(self, said: Sequence[Message | None]) -> None:
        self._said = iter(said)
        self.sent: list[Message] = []
        self.ended = False
        self.failed: str | None = None
        self.channel = self.output = self.popen = self
        self.returncode = -11
        self.pid = 1

    def send(self, message: Message, _: Sequence[int]) -> None:
        self.sent.append(message)

    def receive(self) -> Delivery[Any]:
        message = next(self._said)
        if message is None:
            raise ChannelClosed("end of file")
        return Delivery(message)

    def lines(self) -> Iterator[str]:
        return iter(())

    def why_it_ended(self, code: int) -> str:
        return self.failed or f"signal {-code}"

    def kill(self) -> None:
        self.ended = True

    def close(self) -> None:
        assert self.ended


def discard(*processes: FakeProcess) -> list[Discarded]:
    waiting = list(processes)
    return Discarder(lambda: waiting.pop(0)).discard(QUEUES)  # type: ignore[arg-type,return-value]


def test_one_process_empties_all_queues_and_is_ended() -> None:
    process = FakeProcess([Discarded(1, 60), Discarded(0, 0, 5), Discarded(2, 120)])
    assert discard(process) == [Discarded(1, 60), Discarded(0, 0, 5), Discarded(2, 120)]
    assert process.sent == [queue.message for queue in QUEUES]
    assert process.ended


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (None, "signal 11"),
        (Failed("no memory"), "no memory"),
        (Ready(), "ready, where discarded was asked for"),
        (Discarded(1, lib.TTF_FRAME_MAX_BYTES + 1), f"{lib.TTF_FRAME_MAX_BYTES + 1} bytes in 1 packets"),
    ],
)
def test_a_queue_that_ends_the_process_costs_its_own_numbers_alone(said: Message | None, error: str) -> None:
    first, second = FakeProcess([Discarded(1, 60), said]), FakeProcess([Discarded(2, 120)])
    assert discard(first, second) == [Discarded(1, 60), Discarded(error=error), Discarded(2, 120)]
    assert first.ended
    assert second.ended


def test_a_process_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    silent = FakeProcess([])
    monkeypatch.setattr(silent, "receive", lambda: None)
    monkeypatch.setattr(module, "_ANSWER_NS", 0)
    found = discard(silent, FakeProcess([Discarded(), Discarded()]))
    assert found == [Discarded(error="it didn't answer in time"), Discarded(), Discarded()]


def test_without_a_process_the_queues_are_not_counted() -> None:
    def refused() -> Any:
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    found = Discarder(refused).discard(QUEUES)
    assert found == [Discarded(error="no process to do it: Resource temporarily unavailable")] * 3

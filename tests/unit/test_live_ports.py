# SPDX-License-Identifier: Apache-2.0
"""Which queues packets are steered to. Nobody reads the queue of a worker that is away."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from forwarder import drivers
from forwarder.config.model import Config, PortConfig
from forwarder.supervisor.live_ports import LivePorts
from forwarder.supervisor.port_table import PortTable
from forwarder.worker.messages import Delivery, Discard, Discarded

Call = tuple[Any, ...]


@pytest.fixture
def calls() -> list[Call]:
    """What was done to the devices, and counted, in order."""
    return []


@pytest.fixture
def held() -> Iterator[int]:
    """The fd of a queue that holds packets."""
    read_fd, write_fd = os.pipe()
    os.write(write_fd, b"packets")
    yield read_fd
    os.close(read_fd)
    os.close(write_fd)


@pytest.fixture
def ports(calls: list[Call], held: int) -> LivePorts:
    def opened(config: PortConfig, queues: int) -> Any:
        return SimpleNamespace(
            name=config.name,
            queues=queues,
            device=SimpleNamespace(counters={}),
            header_bytes=10,
            emptied_by=drivers.TAP,
            discard_fd=lambda _: held,
            steer=lambda queue, attached: calls.append(("steer", config.name, queue, attached)),
        )

    def discard(queues: Sequence[Delivery[Discard]]) -> list[Discarded]:
        assert queues == [Delivery(Discard(drivers.TAP.number, 10), (held,))] * len(queues)
        calls.append(("discard", len(queues)))
        return [Discarded(packets=3, size_bytes=180) for _ in queues]

    devices: Any = SimpleNamespace(open=opened)
    state: Any = SimpleNamespace(
        describe_port=lambda *_: 2,
        write_device=lambda *_: None,
        count_discarded=lambda port_id, worker, found: calls.append(
            ("count", port_id, worker, found.packets)
        ),
    )
    config = Config(queues=4)
    return LivePorts(config, PortTable(config), state, devices, discard)


def test_a_new_port_steers_nothing_to_a_worker_that_is_away(ports: LivePorts, calls: list[Call]) -> None:
    ports.open(PortConfig(name="a"))
    assert calls == []
    ports.open(PortConfig(name="b", queues=2), away=[1, 3])
    assert calls == [("discard", 1), ("count", 1, 1, 3), ("steer", "b", 1, False)]


def test_a_dead_workers_packets_are_counted_before_its_queues_are_detached(
    ports: LivePorts, calls: list[Call]
) -> None:
    ports.open(PortConfig(name="a"))
    ports.open(PortConfig(name="b", queues=2))
    calls.clear()
    ports.steer_away_from(3)
    assert calls == [("discard", 1), ("count", 0, 3, 3), ("steer", "a", 3, False)]
    ports.steer_to(3)
    assert calls[3:] == [("steer", "a", 3, True)]


def test_one_process_empties_all_queues_of_a_dead_worker(ports: LivePorts, calls: list[Call]) -> None:
    ports.open(PortConfig(name="a"))
    ports.open(PortConfig(name="b"))
    calls.clear()
    ports.steer_away_from(2)
    assert calls[0] == ("discard", 2)
    assert calls[1:3] == [("count", 0, 2, 3), ("count", 1, 2, 3)]


def test_no_process_is_needed_for_queues_that_hold_nothing(
    ports: LivePorts, calls: list[Call], held: int
) -> None:
    """Also: what the kernel dropped because a queue was full is counted all the same."""
    os.read(held, 100)
    entry = ports.open(PortConfig(name="a"))
    entry.port.drops = lambda queue: 7  # type: ignore[method-assign]
    calls.clear()
    ports.steer_away_from(2)
    assert calls == [("count", 0, 2, 0), ("steer", "a", 2, False)]

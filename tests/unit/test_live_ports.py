# SPDX-License-Identifier: Apache-2.0
"""Which queues packets are steered to. Nobody reads the queue of a worker that is away."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from forwarder.config.model import Config, PortConfig
from forwarder.devices.port import Discarded
from forwarder.supervisor.live_ports import LivePorts
from forwarder.supervisor.port_table import PortTable

Call = tuple[Any, ...]


@pytest.fixture
def calls() -> list[Call]:
    """What was done to the devices, and counted, in order."""
    return []


@pytest.fixture
def ports(calls: list[Call]) -> LivePorts:
    def opened(config: PortConfig, queues: int) -> Any:
        def discard(queue: int) -> Discarded:
            calls.append(("discard", config.name, queue))
            return Discarded(packets=3, size_bytes=180)

        return SimpleNamespace(
            name=config.name,
            queues=queues,
            device=SimpleNamespace(counters={}),
            discard=discard,
            steer=lambda queue, attached: calls.append(("steer", config.name, queue, attached)),
        )

    devices: Any = SimpleNamespace(open=opened)
    state: Any = SimpleNamespace(
        describe_port=lambda *_: 2,
        write_device=lambda *_: None,
        count_discarded=lambda port_id, worker, found: calls.append(
            ("count", port_id, worker, found.packets)
        ),
    )
    config = Config(queues=4)
    return LivePorts(config, PortTable(config), state, devices)


def test_a_new_port_steers_nothing_to_a_worker_that_is_away(ports: LivePorts, calls: list[Call]) -> None:
    ports.open(PortConfig(name="a"))
    assert calls == []
    ports.open(PortConfig(name="b", queues=2), away=[1, 3])
    assert calls == [("discard", "b", 1), ("count", 1, 1, 3), ("steer", "b", 1, False)]


def test_a_dead_workers_packets_are_counted_before_its_queues_are_detached(
    ports: LivePorts, calls: list[Call]
) -> None:
    ports.open(PortConfig(name="a"))
    ports.open(PortConfig(name="b", queues=2))
    ports.steer_away_from(3)
    assert calls == [("discard", "a", 3), ("count", 0, 3, 3), ("steer", "a", 3, False)]
    ports.steer_to(3)
    assert calls[3:] == [("steer", "a", 3, True)]

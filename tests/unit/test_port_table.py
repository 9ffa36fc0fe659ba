# SPDX-License-Identifier: Apache-2.0
"""Messages to workers about ports. A wrong port id, peer or queue would misdirect a user's packets."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from forwarder.config.model import Config, PortConfig, TxOnlyConfig
from forwarder.errors import DeviceError, UnknownPort
from forwarder.supervisor.port_table import MAX_PORTS, PortTable
from forwarder.worker.messages import Attach, Delivery, Detach, Pktgen, SetPeer, UpdatePort


def port(name: str, queues: int = 2, peer: str | None = None) -> Any:
    """A port as forwarder.devices makes it. Its fds are 10 for queue 0, 11 for queue 1, ..."""
    return SimpleNamespace(
        name=name,
        config=PortConfig(name=name, peer=peer),
        queues=queues,
        device=SimpleNamespace(mtu=1500, mac="02:00:00:00:00:0a", offloads=3),
        driver=SimpleNamespace(number=4),
        header_bytes=10,
        queue_fds=lambda queue: (10 + queue,),
        crossing_port=lambda queue: 1000 + queue,
    )


def filled(*names: str, **settings: Any) -> PortTable:
    table = PortTable(Config(queues=4, **settings))
    for name in names:
        table.add(table.free_id(), port(name), generation=2)
    return table


def test_a_worker_gets_the_fds_of_its_own_queue_and_none_where_the_port_has_none() -> None:
    table = filled("a", "b")
    table.named("b").peer = 0
    assert table.attach(1, worker=1) == Delivery(Attach(1, 2, 2, 1500, 0, 4, 10, 3, 1001, None), (11,))
    assert table.attach(1, worker=2) == Delivery(Attach(1, 2, 2, 1500, 0, 4, 10, 3, 1002, None), ())
    told = table.attach_all(worker=0)
    assert [(d.message.port_id, d.message.peer, d.fds) for d in told] == [(0, None, (10,)), (1, 0, (10,))]


def test_a_port_that_goes_takes_its_peers_peer_along() -> None:
    table = filled("a", "b", "c")
    a, b, c = table
    a.peer, b.peer, c.peer = b.port_id, a.port_id, None
    assert table.set_peer(a.port_id) == Delivery(SetPeer(0, 1))
    assert table.detach(b.port_id) == Delivery(Detach(1))
    assert table.remove(b.port_id) == [a]
    assert a.peer is None
    assert table.set_peer(a.port_id) == Delivery(SetPeer(0, None))
    assert [entry.port.name for entry in table] == ["a", "c"]
    assert (len(table), table.get(1), table.get(0)) == (2, None, a)


def test_a_port_id_rests_as_long_as_it_can_before_it_is_another_port() -> None:
    table = filled("a", "b")
    table.remove(0)
    given = []
    for round_ in range(MAX_PORTS - 1):
        given.append(table.free_id())
        table.add(given[-1], port(f"p{round_}"), generation=2)
    assert given == [*range(2, MAX_PORTS), 0]
    with pytest.raises(DeviceError, match=f"at most {MAX_PORTS} ports"):
        table.free_id()


def test_a_port_that_is_not_there_is_answered_with_those_that_are() -> None:
    with pytest.raises(UnknownPort, match=r'no port "x" \(ports: a, b\)'):
        filled("b", "a").named("x")
    with pytest.raises(UnknownPort, match=r"\(ports: none\)"):
        filled().named("x")


def test_a_deleted_peer_is_nobodys_peer_even_if_another_port_gets_its_name() -> None:
    table = PortTable(Config(queues=4))
    left = table.add(table.free_id(), port("left", peer="right"), generation=2)
    right = table.add(table.free_id(), port("right"), generation=2)
    left.peer, right.peer = right.port_id, left.port_id
    assert [config.peer for config in table.configs()] == ["right", None]
    table.remove(right.port_id)
    table.add(table.free_id(), port("right"), generation=4)
    assert [config.peer for config in table.configs()] == [None, None]


def test_the_queues_of_a_generating_port_share_its_rate_exactly() -> None:
    for rate, shares in ((10, [5, 5]), (11, [6, 5]), (1, [1, None]), (0, [0, 0])):
        txonly = TxOnlyConfig(size=90, flows=8, rate=rate, dst_mac="02:00:00:00:00:0b")
        table = filled("a", mode="txonly", txonly=txonly)
        settings = [table.attach(0, worker=queue).message.pktgen for queue in (0, 1)]
        assert [found and found.rate for found in settings] == shares
        updates = [table.update(0, worker=queue) for queue in (0, 1)]
        assert updates == [Delivery(UpdatePort(0, 1500, 3, told)) for told in settings]
        assert settings[0] == Pktgen(
            size=90,
            flows=8,
            rate=shares[0] or 0,
            src_mac=b"\2\0\0\0\0\2",
            dst_mac=b"\2\0\0\0\0\x0b",
            src_ip=bytes([198, 18, 0, 1]),
            dst_ip=bytes([198, 18, 0, 2]),
        )

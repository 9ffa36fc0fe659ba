# SPDX-License-Identifier: Apache-2.0
"""Requests to the kernel: what is there and what isn't, and that nothing is kept of a request."""

from __future__ import annotations

import gc
import os
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from forwarder.devices.netlink import Netlink
from forwarder.devices.place import Place

HERE = Place.named(None)
LOOPBACK = 1
REQUESTS = 500


@pytest.fixture
def netlink() -> Iterator[Netlink]:
    found = Netlink()
    yield found
    found.close()


def fds() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_a_device_is_found_by_its_index_and_by_its_name(netlink: Netlink) -> None:
    message = netlink.link(HERE, "lo")
    assert message is not None
    assert (message["index"], message.get_attr("IFLA_IFNAME")) == (LOOPBACK, "lo")
    again = netlink.link_at(HERE, LOOPBACK)
    assert again is not None
    assert again.get_attr("IFLA_MTU") == int(Path("/sys/class/net/lo/mtu").read_text())
    assert netlink.link(HERE, "no-such") is None
    assert netlink.link_at(HERE, 2**31 - 1) is None


@pytest.mark.slow
@pytest.mark.parametrize(
    "request_once",
    [
        pytest.param(lambda netlink: netlink.link_at(HERE, LOOPBACK), id="by-index"),
        pytest.param(lambda netlink: netlink.link(HERE, "lo"), id="by-name"),
        pytest.param(lambda netlink: netlink.link(HERE, "no-such"), id="of-nothing"),
        pytest.param(lambda netlink: netlink.news(), id="news"),
    ],
)
def test_an_instance_that_runs_for_days_keeps_nothing_of_its_requests(
    netlink: Netlink, request_once: Callable[[Netlink], object]
) -> None:
    def repeat() -> int:
        for _ in range(REQUESTS):
            request_once(netlink)
        gc.collect()
        return sys.getallocatedblocks()

    repeat()
    before, open_before = repeat(), fds()
    assert repeat() - before < REQUESTS / 5
    assert fds() == open_before


def test_sockets_of_a_namespace_that_is_forgotten_are_closed(netlink: Netlink) -> None:
    before = fds()
    for _ in range(3):
        assert netlink.link_at(HERE, LOOPBACK) is not None
        netlink.of(HERE)
        assert fds() > before
        netlink.forget(HERE)
        assert fds() == before


def test_the_namespace_of_an_fd_is_the_one_that_its_name_stands_for() -> None:
    fd = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        assert Place.of_fd(fd) == HERE
    finally:
        os.close(fd)


def test_an_answer_to_an_interrupted_request_is_nobody_elses(netlink: Netlink) -> None:
    links = netlink._in(HERE).links
    links.put(None, 18, 1, msg_seq=2**32 - 1)  # RTM_GETLINK of nothing: it is refused
    message = netlink.link(HERE, "lo")
    assert message is not None
    assert message["index"] == LOOPBACK


class NoMemoryToReceive:
    """A socket."""

    def __init__(self, real: Any) -> None:
        self._real = real

    def recvfrom(self, size: int) -> bytes:
        raise MemoryError

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


def test_a_request_ends_without_memory_for_its_answer_and_the_next_is_answered(netlink: Netlink) -> None:
    netlink.of(HERE)
    before = fds()
    transport = netlink.of(HERE).asyncore.local.transport
    transport._sock = NoMemoryToReceive(transport._sock)
    with pytest.raises(MemoryError):
        netlink.of(HERE).link("get", index=LOOPBACK)
    (message,) = netlink.of(HERE).link("get", index=LOOPBACK)
    assert message["index"] == LOOPBACK
    del transport
    assert fds() == before


def test_a_netlink_socket_is_where_notifications_come(netlink: Netlink) -> None:
    netlink.of(HERE)
    news = netlink._in(HERE).news
    assert news.fileno() != netlink.fileno()
    assert isinstance(news._socket, socket.socket)
    assert news._socket.getsockname()[1] == 1, "the group of links"

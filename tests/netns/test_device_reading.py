# SPDX-License-Identifier: Apache-2.0
"""Ports' devices read without an instance: what can't be arranged or repeated in a running one."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from forwarder.config.model import PortConfig
from forwarder.devices.claims import Claims
from forwarder.devices.devices import Devices
from forwarder.devices.journal import Journal
from forwarder.devices.link_news import LinkNews
from forwarder.devices.netns import inside
from forwarder.devices.port import Port
from tests.support.commands import ip, unique
from tests.support.netns import namespace

QUEUES = 2


def fds() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.fixture
def devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Devices]:
    monkeypatch.setenv("TTFWD_RUNTIME_DIR", str(tmp_path))
    name = unique("t")
    claims = Claims(name)
    found = Devices(Journal(name), claims, "none", after_crash=False)
    yield found
    found.shutdown()
    claims.close()


@contextmanager
def tap(devices: Devices, netns: str) -> Iterator[Port]:
    port = devices.open(PortConfig(name="t0", netns=netns, driver="tap"), QUEUES)
    try:
        yield port
    finally:
        devices.close(port)


def test_a_tap_whose_workers_are_all_away_is_still_followed(devices: Devices) -> None:
    with namespace() as netns, tap(devices, netns) as port:
        for queue in range(QUEUES):
            port.steer(queue, attached=False)
        ip("link", "set", "t0", "mtu", "4000", netns=netns)
        assert devices.look(port, thorough=True).mtu == 4000
        ip("link", "delete", "t0", netns=netns)
        assert devices.look(port, thorough=True).is_gone


def test_a_tap_of_any_name_is_followed(devices: Devices) -> None:
    with namespace() as netns, namespace() as elsewhere, tap(devices, netns) as port:
        subprocess.run(["ip", "-n", netns, "link", "set", "t0", "name", b"\xff\xfe\x1b"], check=True)
        assert devices.look(port, thorough=True).name == "???"
        where = ["netns", elsewhere]
        subprocess.run(["ip", "-n", netns, "link", "set", b"\xff\xfe\x1b", *where], check=True)
        device = devices.look(port, thorough=True)
        assert (device.name, device.place.name, device.link) == ("???", elsewhere, "down")


def test_ports_that_come_and_go_with_their_namespaces_leave_no_descriptor(devices: Devices) -> None:
    def come_and_go(first: str, second: str) -> None:
        with tap(devices, first) as port:
            open_fds = []
            for here, there in ((first, second), (second, first)) * 3:
                ip("link", "set", "t0", "netns", there, netns=here)
                assert devices.noticed() == {port}
                assert devices.look(port, thorough=True).place.name == there
                open_fds.append(fds())
            assert len(set(open_fds[1:])) <= 2, "a namespace that the device left is let go of"

    with namespace() as first, namespace() as second:
        come_and_go(first, second)  # what is opened once and for all is open now
        before = fds()
        for _ in range(3):
            come_and_go(first, second)
            assert fds() == before


def test_a_namespace_without_a_name_is_shown_as_the_kernel_shows_it(devices: Devices) -> None:
    with namespace() as netns, tap(devices, netns) as port, namespace() as nameless:
        inode = os.stat(f"/run/netns/{nameless}").st_ino
        ip("link", "set", "t0", "netns", nameless, netns=netns)
        with inside(nameless):
            anchor = socket.socket()  # keeps the namespace
        with anchor:
            ip("netns", "delete", nameless)
            assert devices.look(port, thorough=True).place.name == f"net:[{inode}]"
            devices.link_down(port)
            assert devices.look(port, thorough=False).link == "down"


def test_notifications_that_were_lost_are_known_to_be() -> None:
    with namespace() as netns:
        ip("link", "add", "v0", "type", "veth", "peer", "name", "v1", netns=netns)
        with inside(netns):
            news = LinkNews()
        news._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 0)  # the least that there is
        index = int(ip("-o", "link", "show", "v0", netns=netns).partition(":")[0])
        assert news.take() == set()
        for mtu in range(1400, 1420):
            ip("link", "set", "v0", "mtu", str(mtu), netns=netns)
        assert news.take() is None
        assert news.take() == set()
        ip("link", "set", "v0", "mtu", "1500", netns=netns)
        assert news.take() == {index}
        news.close()

# SPDX-License-Identifier: Apache-2.0
"""A device in a namespace of its own for driver packet, and the other end of it, for the tests.

netns        instance                    test
[far]====( packet 0, socket 1 )====[AF_UNIX socket]
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from pyroute2 import IPRoute

from forwarder.devices import netns, packet_sockets
from tests.native.ext import lib
from tests.native.harness import Instance
from tests.support.offloads import VNET_HDR_BYTES, vnet_header

_SOL_PACKET, _PACKET_VNET_HDR = 263, 15
_SO_SNDBUFFORCE, _SO_RCVBUFFORCE = 32, 33
_ETH_P_ALL = 3
MTU = 9000


def _wait_until_up(netlink: IPRoute) -> None:
    """The other end hears of it by and by, and drops what it is given until then."""
    deadline = time.monotonic() + 60
    while netlink.link("get", ifname="far")[0].get_attr("IFLA_OPERSTATE") != "UP":
        assert time.monotonic() < deadline
        time.sleep(0.01)


@dataclass
class Far:
    """The device's other end."""

    netns: str
    sender: socket.socket
    capture: socket.socket

    @classmethod
    @contextmanager
    def made(cls) -> Iterator[Far]:
        name = f"ttfwd-ring-{os.getpid()}"
        netns.create(name)
        try:
            with netns.inside(name), IPRoute() as netlink, ExitStack() as stack:
                with open("/proc/sys/net/ipv6/conf/default/disable_ipv6", "w") as file:
                    file.write("1")
                netlink.link("add", ifname="near", kind="veth", peer="far")
                for device in ("near", "far"):
                    index = netlink.link_lookup(ifname=device)[0]
                    netlink.link("set", index=index, mtu=MTU, state="up")
                _wait_until_up(netlink)
                sender, capture = (
                    stack.enter_context(socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)) for _ in range(2)
                )
                sender.setsockopt(_SOL_PACKET, _PACKET_VNET_HDR, 1)
                sender.bind(("far", 0))
                capture.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 16 << 20)
                capture.setblocking(False)
                capture.bind(("far", _ETH_P_ALL))
                yield cls(name, sender, capture)
        finally:
            netns.remove(name)

    def send(self, *frames: bytes) -> None:
        for data in frames:
            self.sender.send(vnet_header() + data)

    def received(self) -> list[bytes]:
        """What came since the last time, in order."""
        got: list[bytes] = []
        while True:
            try:
                data, address = self.capture.recvfrom(1 << 17)
            except BlockingIOError:
                return got
            if address[2] != socket.PACKET_OUTGOING:
                got.append(data)

    def set_link(self, state: str) -> None:
        self._set("near", state=state)
        if state == "up":
            with netns.inside(self.netns), IPRoute() as netlink:
                _wait_until_up(netlink)

    def set_mtu(self, mtu: int) -> None:
        """Of the device that ttfwd has."""
        self._set("near", mtu=mtu)

    def set_far_link(self, state: str) -> None:
        """What the device calls its carrier."""
        self._set("far", state=state)

    def _set(self, device: str, **what: Any) -> None:
        with netns.inside(self.netns), IPRoute() as netlink:
            netlink.link("set", index=netlink.link_lookup(ifname=device)[0], **what)


def packet_pair(instance: Callable[..., Instance], far: Far, batch: int) -> Instance:
    """A packet port, and a socket that is its peer."""
    made = instance(rx_mode="interrupt", batch=batch)
    queue, plain = (socket.socket(fileno=fd) for (fd,) in packet_sockets.open_queues("near", far.netns, 1))
    made.connect(
        0,
        peer=1,
        mtu=MTU,
        io=lib.TTF_DRIVER_PACKET,
        header_bytes=VNET_HDR_BYTES,
        sockets=[queue],
        plain=plain,
    )
    made.connect(1, peer=0, mtu=MTU, header_bytes=VNET_HDR_BYTES)
    made.ports[1].inside[0].setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, 16 << 20)
    return made

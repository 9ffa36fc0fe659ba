# SPDX-License-Identifier: Apache-2.0
"""A veth pair in a private namespace: one end for driver packet, the far end for the test.

netns        instance                    test
[far]====( packet 0, socket 1 )====[AF_UNIX socket]
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from pyroute2 import IPRoute

from forwarder.devices import netns, packet_sockets
from forwarder.devices.place import Place
from tests.native.ext import lib
from tests.native.harness import Harness
from tests.support import afpacket
from tests.support.gso_limits import set_gso_limits
from tests.support.netns import namespace
from tests.support.offloads import VNET_HDR_BYTES, vnet_header
from tests.support.wait import wait_until

MTU = 9000


@contextmanager
def _netlink(name: str) -> Iterator[IPRoute]:
    """A netlink socket stays in the namespace where it was made."""
    with netns.inside(name):
        netlink = IPRoute()
    with netlink:
        yield netlink


def _wait_until_up(netlink: IPRoute) -> None:
    """The far end learns late that its link is up, and drops frames until then."""
    wait_until(
        lambda: netlink.link("get", ifname="far")[0].get_attr("IFLA_OPERSTATE") == "UP", "the link is up"
    )


@dataclass
class Far:
    """The device's other end."""

    netns: str
    sender: socket.socket
    capture: socket.socket

    @classmethod
    @contextmanager
    def made(cls) -> Iterator[Far]:
        with ExitStack() as stack:
            name = stack.enter_context(namespace())
            netlink = stack.enter_context(_netlink(name))
            netlink.link("add", ifname="near", kind="veth", peer="far")
            for device in ("near", "far"):
                index = netlink.link_lookup(ifname=device)[0]
                netlink.link("set", index=index, mtu=MTU, state="up")
            _wait_until_up(netlink)
            with netns.inside(name):
                sender = stack.enter_context(afpacket.sender("far", offload_headers=True))
                capture = stack.enter_context(afpacket.receiver("far", 16 << 20))
            capture.setblocking(False)
            yield cls(name, sender, capture)

    def send(self, *frames: bytes) -> None:
        for data in frames:
            self.sender.send(vnet_header() + data)

    def received(self) -> list[bytes]:
        """The frames that arrived since the last call, in order."""
        got: list[bytes] = []
        while True:
            try:
                got.append(self.capture.recv(1 << 17))
            except BlockingIOError:
                return got

    def set_link(self, state: str) -> None:
        self._set("near", state=state)
        if state == "up":
            with _netlink(self.netns) as netlink:
                _wait_until_up(netlink)

    def set_mtu(self, mtu: int) -> None:
        """A counter of the device that ttfwd uses."""
        self._set("near", mtu=mtu)

    def set_far_mtu(self, mtu: int) -> None:
        """What the far end receives at most."""
        self._set("far", mtu=mtu)

    def take_carrier(self) -> None:
        """The device loses its carrier, as the far end's link goes down."""
        self._set("far", state="down")
        with _netlink(self.netns) as netlink:
            wait_until(
                lambda: netlink.link("get", ifname="near")[0].get_attr("IFLA_OPERSTATE") != "UP",
                "the kernel shows that there is no carrier",
            )

    def set_gso_limit(self, size_bytes: int) -> None:
        """The longest GSO frame that the far end sends."""
        with netns.inside(self.netns):
            set_gso_limits("far", size_bytes)

    def _set(self, device: str, **what: Any) -> None:
        with _netlink(self.netns) as netlink:
            netlink.link("set", index=netlink.link_lookup(ifname=device)[0], **what)


def _open_queue(device: str, netns: str) -> tuple[list[int], list[int]]:
    return packet_sockets.open_queues(device, Place.named(netns), 1)


def packet_pair(harness: Callable[..., Harness], far: Far, batch: int, device: str = "near") -> Harness:
    """A packet port whose peer is a socket port."""
    made = harness(rx_mode="interrupt", batch=batch)
    queue, plain = (socket.socket(fileno=fd) for (fd,) in _open_queue(device, far.netns))
    made.connect(
        0,
        peer=1,
        mtu=MTU,
        driver=lib.TTF_DRIVER_PACKET,
        header_bytes=VNET_HDR_BYTES,
        sockets=[queue],
        plain=plain,
    )
    made.connect(1, peer=0, mtu=MTU, header_bytes=VNET_HDR_BYTES)
    made.ports[1].inside[0].setsockopt(socket.SOL_SOCKET, afpacket.SO_SNDBUFFORCE, 16 << 20)
    return made

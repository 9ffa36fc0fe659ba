# SPDX-License-Identifier: Apache-2.0
"""The namespace that everything is measured in: devices, their counters, veth pairs.

Counters are those that the kernel has of devices; nothing here asks a forwarder. IPv6 is off, so that the
only frames are the generator's. They are for a MAC address that nobody has: the stack behind the sink drops
them before it looks at them (PACKET_OTHERHOST).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pyroute2 import IPRoute

from forwarder.devices import netns
from tests.bench.commands import ethtool
from tests.support.netns import namespace


@dataclass(frozen=True)
class Devices:
    """A forwarder's two devices, where its load goes in, and where it comes out: for taps, the same two.

    Devices that lie in other namespaces than the lab's name them.
    """

    left: str
    right: str
    source: str
    sink: str
    left_netns: str | None = None
    right_netns: str | None = None

    @classmethod
    def taps(cls, number: int) -> Devices:
        left, right = f"left{number}", f"right{number}"
        return cls(left, right, left, right)

    @classmethod
    def veths(cls, number: int) -> Devices:
        return cls(f"left{number}", f"right{number}", f"source{number}", f"sink{number}")


@dataclass(frozen=True)
class DeviceCounters:
    """Of one device, as the kernel sees it: rx is what a forwarder gave it."""

    rx_packets: int
    tx_packets: int
    tx_dropped: int


class Lab:
    """A network namespace with nothing in it that the benchmark didn't put there."""

    def __init__(self, name: str, counters_fd: int) -> None:
        self.netns = name
        self._counters_fd = counters_fd

    @classmethod
    @contextmanager
    def made(cls, name: str) -> Iterator[Lab]:
        with namespace(name):
            with netns.inside(name):
                # The file shows the namespace that it was opened in, from wherever it is read.
                counters_fd = os.open("/proc/thread-self/net/dev", os.O_RDONLY | os.O_CLOEXEC)
            try:
                yield cls(name, counters_fd)
            finally:
                os.close(counters_fd)

    def counters(self, device: str) -> DeviceCounters | None:
        """None if there is no such device."""
        text = b""
        while chunk := os.pread(self._counters_fd, 65536, len(text)):
            text += chunk
        for line in text.decode().splitlines()[2:]:
            name, _, numbers = line.partition(":")
            if name.strip() == device:
                fields = [int(number) for number in numbers.split()]
                return DeviceCounters(rx_packets=fields[1], tx_packets=fields[9], tx_dropped=fields[11])
        return None

    def delivered(self, device: str) -> int:
        found = self.counters(device)
        return found.rx_packets if found else 0

    @contextmanager
    def veths(self, devices: Devices) -> Iterator[None]:
        """A veth pair at either side of a forwarder, whose ends receive by NAPI: they take XDP frames."""
        pairs = ((devices.source, devices.left), (devices.right, devices.sink))
        with netns.inside(self.netns), IPRoute() as netlink:
            for near, far in pairs:
                netlink.link("add", ifname=near, kind="veth", peer={"ifname": far})
                for end in (near, far):
                    netlink.link("set", ifname=end, state="up")
        for device in (devices.left, devices.right):
            ethtool(self.netns, device, "gro", on=True)
        try:
            yield
        finally:
            with netns.inside(self.netns), IPRoute() as netlink:
                for near, _ in pairs:
                    netlink.link("del", ifname=near)

    def set_queue_length(self, device: str, packets: int) -> None:
        """How many packets each queue of a tap holds."""
        with netns.inside(self.netns), IPRoute() as netlink:
            netlink.link("set", ifname=device, txqlen=packets)

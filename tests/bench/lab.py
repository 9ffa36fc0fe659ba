# SPDX-License-Identifier: Apache-2.0
"""The namespace of the measurements: devices, their counters, veth pairs.

All counters are the kernel's counters of devices, none a forwarder's. IPv6 is off, so the only frames are the
generator's. They go to a MAC address that no device has: the sink's stack drops them unparsed
(PACKET_OTHERHOST).
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
    """A forwarder's two devices, and the devices where its load enters and leaves. Taps are both.

    Each device in another namespace than the lab's names its namespace.
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
    """A device's counters from the kernel's view: rx counts what a forwarder sent."""

    rx_packets: int
    tx_packets: int
    tx_dropped: int


class Lab:
    """A network namespace that contains only what the benchmark made."""

    def __init__(self, name: str, counters_fd: int) -> None:
        self.netns = name
        self._counters_fd = counters_fd

    @classmethod
    @contextmanager
    def made(cls, name: str) -> Iterator[Lab]:
        with namespace(name):
            with netns.inside(name):
                # The file shows the namespace where it was opened, from any reader.
                counters_fd = os.open("/proc/thread-self/net/dev", os.O_RDONLY | os.O_CLOEXEC)
            try:
                yield cls(name, counters_fd)
            finally:
                os.close(counters_fd)

    def counters(self, device: str) -> DeviceCounters | None:
        """None if the device doesn't exist."""
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
        """A veth pair on either side of a forwarder. Its ends receive by NAPI, as XDP frames require."""
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
        """Set how many packets each queue of a tap holds."""
        with netns.inside(self.netns), IPRoute() as netlink:
            netlink.link("set", ifname=device, txqlen=packets)

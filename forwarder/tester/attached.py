# SPDX-License-Identifier: Apache-2.0
"""A device that the tester uses, as it was found: where it is, what it is, what it can carry."""

from __future__ import annotations

import errno
import fcntl
import socket
import struct
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import Any

from pyroute2.netlink.exceptions import NetlinkError

from forwarder.deferred import signals_deferred
from forwarder.devices.device import Link, link_state
from forwarder.devices.link import driver_data, kind
from forwarder.devices.netlink import Netlink, reason
from forwarder.devices.place import Place
from forwarder.errors import DeviceError, NotPermitted, TtfwdError
from forwarder.host.ethtool import driver
from forwarder.tester.device_counters import missing_device
from forwarder.tester.traffic import ETHERNET_BYTES, VLAN_BYTES, Traffic
from forwarder.tester.trial import Endpoint

_SIOCGIFFLAGS = 0x8913
_IFF_UP, _IFF_RUNNING = 0x1, 0x40  # running: up, with a carrier


@dataclass(frozen=True)
class Attached:
    """One device at one moment. It keeps its namespace open."""

    endpoint: Endpoint
    place: Place
    ifindex: int
    kind: str | None  # rtnetlink's: "tun", "veth"; None for hardware
    link: Link
    mtu: int
    tx_queues: int  # in use
    has_packet_info: bool = False  # of a tap: its reader expects a struct tun_pi before each frame

    @classmethod
    def find(cls, endpoint: Endpoint) -> Attached:
        """Raises DeviceError, NotPermitted."""
        place = Place.named(endpoint.netns)
        link = _ask(place, endpoint)
        tun = driver_data(link) if kind(link) == "tun" else None
        if tun is not None:  # its driver tells nobody else
            queues = tun.get_attr("IFLA_TUN_NUM_QUEUES") or 1
        else:
            queues = _channels(place, endpoint.device)
        mtu = link.get_attr("IFLA_MTU")
        has_packet_info = tun is not None and bool(tun.get_attr("IFLA_TUN_PI"))
        return cls(endpoint, place, link["index"], kind(link), link_state(link), mtu, queues, has_packet_info)

    def require_there(self) -> None:
        """Raises DeviceError if it is gone, or isn't up any more. Cheap: every trial asks twice."""
        if self.endpoint.netns is not None and not self.place.has_its_name():
            raise DeviceError(f'network namespace "{self.endpoint.netns}" is gone, or another one')
        with self.place.inside():
            found = _index_and_flags(self.endpoint.device)
        if found is None:
            raise missing_device(self.endpoint)
        index, flags = found
        if index != self.ifindex:
            raise DeviceError(f"{self.shown}: the device is gone, and another one has its name")
        if not flags & _IFF_RUNNING:
            replace(self, link="no_carrier" if flags & _IFF_UP else "down").require_up()

    def require_up(self) -> None:
        """Raises DeviceError."""
        if self.link != "up":
            what = "it has no carrier" if self.link == "no_carrier" else "it is down: ip link set up"
            raise DeviceError(f"{self.shown}: {what}")

    def require_room(self, traffic: Traffic) -> None:
        """Raises DeviceError if its MTU is too small for the frames."""
        wanted = traffic.max_frame_bytes - ETHERNET_BYTES - VLAN_BYTES * len(traffic.vlans)
        if wanted > self.mtu:
            raise DeviceError(
                f"{self.shown}: its MTU is {self.mtu}: "
                f"frames of {traffic.max_frame_bytes} bytes need {wanted}"
            )

    @property
    def shown(self) -> str:
        """For messages."""
        netns = self.endpoint.netns
        return f'{self.endpoint.device} in network namespace "{netns}"' if netns else self.endpoint.device

    @contextmanager
    def doing(self, what: str) -> Iterator[None]:
        """Run the body in the device's namespace, and word its OSError: what couldn't be done, and why."""
        try:
            with self.place.inside():
                yield
        except OSError as error:
            raise worded(f"{self.shown}: {what}", error) from None


def _index_and_flags(device: str) -> tuple[int, int] | None:
    """Of a device in this thread's namespace; None if there is none."""
    request = struct.pack("16sH22x", device.encode(), 0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        try:
            flags = struct.unpack_from("16xH", fcntl.ioctl(sock, _SIOCGIFFLAGS, request))[0]
            return socket.if_nametoindex(device), flags
        except OSError as error:
            if error.errno not in (errno.ENODEV, errno.ENXIO):
                raise
            return None


def worded(what: str, error: OSError) -> TtfwdError:
    if error.errno in (errno.EPERM, errno.EACCES):
        return NotPermitted(f"{what}: {reason(error)}: the tester needs root")
    return DeviceError(f"{what}: {reason(error)}")


def _channels(place: Place, device: str) -> int:
    """How many queues a driver sends by; 1 if it doesn't tell."""
    with place.inside():
        channels = driver(device).channels or {}
    return channels.get("tx", 0) + channels.get("combined", 0) or 1


def _ask(place: Place, endpoint: Endpoint) -> Any:
    with signals_deferred(), closing(Netlink()) as netlink:
        try:
            link = netlink.link(place, endpoint.device)
        except NetlinkError as error:
            if error.code in (errno.ERANGE, errno.EINVAL):  # no name of a device
                raise missing_device(endpoint) from None
            raise DeviceError(f"{endpoint.device}: {reason(error)}") from None
    if link is None:
        raise missing_device(endpoint)
    return link

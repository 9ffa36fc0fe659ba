# SPDX-License-Identifier: Apache-2.0
"""What all ports have in common: a device with queues, opened by one of the drivers.

A port is whole or it doesn't exist: close() undoes what open() made, also when open() failed half way. Its
fds stay open for as long as it lives, also when workers die.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from forwarder.config.model import PortConfig
from forwarder.devices.netns import Netlink, Place
from forwarder.drivers import Driver
from forwarder.errors import DeviceError
from forwarder.rundir import Journal

_MAC_BYTES = 6


@dataclass(frozen=True)
class Discarded:
    """The packets that were discarded from a queue that no worker serves."""

    packets: int
    size_bytes: int
    kernel_drops: int = 0  # packets that the queue had no room for


@dataclass(frozen=True)
class Offer:
    """The driver that a port can have on this machine, and a remark for its user ("" if there is none)."""

    driver: Driver
    remark: str = ""


@dataclass(frozen=True)
class Host:
    """What the ports of one instance share."""

    netlink: Netlink
    journal: Journal
    after_crash: bool  # the last incarnation of this instance left something behind


class Port(ABC):
    """A network device and its queues. One subclass for each driver."""

    def __init__(
        self, config: PortConfig, driver: Driver, note: str, queues: int, place: Place, host: Host
    ) -> None:
        self.config = config
        self.driver = driver
        self.note = note  # why it is this driver
        self.queues = queues
        self.place = place  # the namespace of its device
        self.header_bytes = 0  # of the offload header in front of each frame of its queues
        self.offloads = 0  # what its device takes over: TTF_OFFLOAD_ bits
        self.mtu = 0
        self.mac = ""
        self.ifindex = 0
        self.made_device = False
        self._host = host

    @property
    def name(self) -> str:
        return self.config.name

    @classmethod
    @abstractmethod
    def offer(cls, config: PortConfig) -> Offer | str:
        """What this machine offers such a port, or why it can't have the driver.

        Raises DeviceError when the driver is there and can't do what the port is configured for.
        """

    @abstractmethod
    def open(self) -> None:
        """Make the port ready to forward, link up. Raises DeviceError, NotPermitted, NetlinkError."""

    @abstractmethod
    def queue_fds(self, queue: int) -> tuple[int, ...]:
        """The fds that a worker gets: its queue's, and a second one to send by if the driver has one."""

    @abstractmethod
    def steer(self, queue: int, attached: bool) -> None:
        """Have the kernel steer packets to a queue, or to the others while no worker serves it.

        Raises OSError.
        """

    @abstractmethod
    def discard(self, queue: int) -> Discarded:
        """Empty a queue that no worker serves, within a bounded time. Raises OSError."""

    @abstractmethod
    def close(self) -> None:
        """Close the queues, and undo what was done to the device."""

    # ------------------------------------------------------------------------------ for subclasses

    @property
    def _netlink(self) -> Any:
        """The netlink socket in the namespace of the device."""
        return self._host.netlink.of(self.place)

    def _find_link(self) -> Any | None:
        """The kernel's message about the device; None if no device has that name."""
        return self._host.netlink.link(self.place, self.name)

    def _link(self) -> Any:
        """The kernel's message about the device. Raises DeviceError if there is none."""
        link = self._find_link()
        if link is None:
            where = f' in network namespace "{self.config.netns}"' if self.config.netns else ""
            raise DeviceError(f'port "{self.name}": no such device{where}')
        return link

    def _read_back(self) -> None:
        """Take over the device's index, MTU and MAC address as they are now."""
        link = self._link()
        self.ifindex = link["index"]
        self.mtu = link.get_attr("IFLA_MTU")
        self.mac = link.get_attr("IFLA_ADDRESS") or ""
        if len(self.mac.split(":")) != _MAC_BYTES:
            raise DeviceError(f'port "{self.name}": a device without a MAC address is not an Ethernet device')

# SPDX-License-Identifier: Apache-2.0
"""What all ports have in common: a device with queues, opened by one of the drivers.

A port is whole or it doesn't exist: close() undoes what open() made, also when open() failed half way. Its
fds stay open for as long as it lives, also when workers die.
"""

import logging
from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from pyroute2.netlink.exceptions import NetlinkError

from forwarder.config.model import PortConfig
from forwarder.devices import changes
from forwarder.devices.claims import Claims
from forwarder.devices.crossing import Crossing
from forwarder.devices.device import Device, link_state, printable
from forwarder.devices.journal import ChangedDevice, Journal
from forwarder.devices.netlink import Netlink, reason
from forwarder.devices.place import Place
from forwarder.drivers import Driver
from forwarder.errors import DeviceError, TtfwdError

_MAC_BYTES = 6

log = logging.getLogger("ttfwd")


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
    claims: Claims
    crossing: Crossing | str  # or why there is none
    after_crash: bool  # the last incarnation of this instance left something behind


class Port(ABC):
    """A network device and its queues. One subclass for each driver."""

    emptied_by: ClassVar[Driver]  # the driver by which a queue that no worker serves is emptied

    def __init__(
        self, config: PortConfig, driver: Driver, note: str, queues: int, place: Place, host: Host
    ) -> None:
        self.config = config
        self.driver = driver
        self.note = note  # why it is this driver
        self.queues = queues
        self.place = place  # the namespace that it was opened in
        self.header_bytes = 0  # of the offload header in front of each frame of its queues
        self.made_device = False
        self._host = host
        self._device: Device | None = None
        self._changed: ChangedDevice | None = None  # what we changed on a device of somebody else's

    @property
    def name(self) -> str:
        """The name that its device had when the port was opened: what commands call it."""
        return self.config.name

    @property
    def device(self) -> Device:
        """The device as it was when look() was last called. There is one once the port is open."""
        assert self._device is not None
        return self._device

    def look(self, *, thorough: bool = True) -> Device:
        """The device as the kernel has it now. Raises NetlinkError, OSError, DeviceError.

        The port's queues tell which device it is; another one may have its name by now. `thorough`: read its
        features too, which takes longer; without it they are those of the last time.
        """
        place, name = self._whereabouts() or (None, b"")
        message = None
        if place == self.device.place:
            message = self._host.netlink.link_at(place, self.device.ifindex)
        elif place is not None:
            message = self._host.netlink.link(place, name)
        if place is None or message is None:
            self._device = replace(self.device, link="gone", counters={})
        else:
            self._device = self._read(place, message, thorough)
        return self._device

    @classmethod
    @abstractmethod
    def offer(cls, config: PortConfig, crossing: Crossing | str) -> Offer | str:
        """What this machine offers such a port, or why it can't have the driver.

        `crossing`: the instance's, or why it has none.

        Raises DeviceError when the driver is there and can't do what the port is configured for.
        """

    @abstractmethod
    def open(self) -> None:
        """Make the port ready to forward, link up. Raises DeviceError, NotPermitted, NetlinkError."""

    @abstractmethod
    def queue_fds(self, queue: int) -> tuple[int, ...]:
        """The fds that a worker gets: its queue's, and a second one to send by if the driver has one."""

    def crossing_port(self, queue: int) -> int:
        """The port's number in the crossing for the worker of that queue, 0 if it is outside."""
        return 0

    @abstractmethod
    def steer(self, queue: int, attached: bool) -> None:
        """Have the kernel steer packets to a queue, or to the others while no worker serves it.

        Raises OSError.
        """

    @abstractmethod
    def discard_fd(self, queue: int) -> int:
        """The fd by which a queue that no worker serves is emptied."""

    def drops(self, queue: int) -> int:
        """Packets that the kernel dropped since the last call because the queue was full."""
        return 0

    @abstractmethod
    def close(self) -> None:
        """Close the queues, and undo what was done to the device."""

    # ------------------------------------------------------------------------------ of subclasses

    @abstractmethod
    def _whereabouts(self) -> tuple[Place, bytes] | None:
        """The namespace of the device that the queues belong to; None if it is gone. Raises OSError.

        And its name, by which it is found if it was moved there.
        """

    @abstractmethod
    def _takes(self, place: Place, message: Any, thorough: bool) -> tuple[int, str]:
        """What the device takes over from a sender, and what limits that; see Device."""

    # ------------------------------------------------------------------------------ for subclasses

    def _will_change(self, entry: ChangedDevice | None) -> None:
        """Call before a device of somebody else's is changed. Raises TtfwdError; then it mustn't be."""
        if entry is not None:
            self._host.journal.add(entry)
            self._changed = entry

    def _is_still_there(self) -> bool:
        """Call before the queues are closed: whether the port has its device, in `device.place` by then."""
        if self._device is None:
            return True  # the open failed, a moment after the device was found
        with suppress(OSError, NetlinkError, TtfwdError):
            self.look(thorough=False)
        return not self._device.is_gone

    def _set_back(self, still_there: bool) -> None:
        """Undo the changes, unless the device is gone: another one may have its name or its index.

        A device that can't be set back is logged, and stays in the journal.
        """
        entry, self._changed = self._changed, None
        if entry is None:
            return
        place, ifindex = self.place, entry.ifindex
        if self._device is not None:  # it may have been moved since
            place, ifindex = self._device.place, self._device.ifindex
        try:
            link = self._host.netlink.link_at(place, ifindex) if still_there else None
            if link is not None:
                log.debug("%s: %s", entry, changes.set_back(self._host.netlink.of(place), link, entry))
        except (OSError, NetlinkError) as error:
            log.error("%s can't be set back: %s; the next start tries again", entry, reason(error))
        else:
            self._host.journal.remove(entry)

    @property
    def _crossing(self) -> Crossing | None:
        """The instance's, if it has one."""
        crossing = self._host.crossing
        return crossing if isinstance(crossing, Crossing) else None

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
        """Take over the device as it is now: the port is open. Raises DeviceError if it isn't Ethernet."""
        device = self._read(self.place, self._link(), thorough=True)
        if len(device.mac.split(":")) != _MAC_BYTES:
            raise DeviceError(f'port "{self.name}": a device without a MAC address is not an Ethernet device')
        self._device = device

    def _read(self, place: Place, message: Any, thorough: bool) -> Device:
        takes, limit = self._takes(place, message, thorough)
        return Device(
            place=place,
            name=printable(message.get_attr("IFLA_IFNAME")),
            ifindex=message["index"],
            link=link_state(message),
            mac=message.get_attr("IFLA_ADDRESS") or "",
            mtu=message.get_attr("IFLA_MTU"),
            offloads=takes,
            limit=limit,
            counters=dict(message.get_attr("IFLA_STATS64")),
        )


class RenewablePort(Port):
    """A port of a driver whose queues can get stuck."""

    @abstractmethod
    def renew(self, queue: int) -> None:
        """Have a queue that got stuck, and that no worker has now, go on. Raises OSError."""

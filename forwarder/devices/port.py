# SPDX-License-Identifier: Apache-2.0
"""Ports as the supervisor owns them: device, namespace, addresses and queue fds, made and unmade as one.

A Port is whole or it doesn't exist: whatever opening it made is undone when a later step fails. The drivers
and why one was chosen: docs/drivers.md.
"""

import errno
import os
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Any

from pyroute2.netlink.exceptions import NetlinkError

from forwarder.config.model import PortConfig
from forwarder.devices import netns, packet, tap, turbotap, uring
from forwarder.devices.netns import Netlink, Place
from forwarder.errors import DeviceError, NotPermitted
from forwarder.native import lib
from forwarder.rundir import Journal

_CRASH_GRACE_S = 2.0
_IFF_UP = 1
_MAC_BYTES = 6
_IFA_F_NODAD = 0x02


@dataclass(frozen=True)
class Driver:
    """How a driver's queues are read and written: enum ttf_driver, and its name where there is a choice."""

    name: str
    io: int
    io_name: str = ""

    def __str__(self) -> str:
        return f"{self.name}/{self.io_name}" if self.io_name else self.name


TAP = Driver("tap", lib.TTF_DRIVER_TAP)
TURBOTAP_MMSG = Driver("turbotap", lib.TTF_DRIVER_TURBOTAP_MMSG, "mmsg")
TURBOTAP_BURST = Driver("turbotap", lib.TTF_DRIVER_TURBOTAP_BURST, "burst")
URING = Driver("uring", lib.TTF_DRIVER_URING)
PACKET = Driver("packet", lib.TTF_DRIVER_PACKET)


def choose(config: PortConfig) -> tuple[Driver, str]:
    """The driver of a port, and why it is that one. Raises DeviceError when it can't be had."""
    if config.driver == "packet":
        return PACKET, "as configured"
    module = turbotap.find()
    no_ring = uring.missing()
    if config.driver == "uring":
        if no_ring:
            raise DeviceError(f'port "{config.name}": driver uring: {no_ring}')
        return URING, "as configured" + _faster(isinstance(module, turbotap.Module), False)
    if config.driver == "tap":
        return TAP, "as configured" + _faster(isinstance(module, turbotap.Module), no_ring is None)
    if isinstance(module, turbotap.Module):
        return _choose_io(config, module)
    if config.driver == "turbotap":
        raise DeviceError(f'port "{config.name}": driver turbotap: {module}')
    if no_ring is None:
        return URING, f"the fastest here; not turbotap: {module}"
    return TAP, f"the fastest here; not turbotap: {module}; not uring: {no_ring}"


def _faster(module: bool, ring: bool) -> str:
    faster = "turbotap" if module else "uring" if ring else None
    return f"; {faster} would be faster" if faster else ""


def _choose_io(config: PortConfig, module: turbotap.Module) -> tuple[Driver, str]:
    note = "the fastest here" if config.driver == "auto" else "as configured"
    if module.burst:
        return (TURBOTAP_MMSG if config.io == "mmsg" else TURBOTAP_BURST), note
    if config.io == "burst":
        raise DeviceError(f'port "{config.name}": io burst: {module} has no burst messages')
    return TURBOTAP_MMSG, note if config.io else f"{note}; {module} has no burst messages"


@dataclass
class Port:
    """A live port. Its fds are open for as long as it lives, whatever happens to workers."""

    config: PortConfig
    driver: Driver
    note: str
    queues: int
    header_bytes: int  # of the offload header in front of each frame of its queues
    place: Place  # where its device is
    offloads: int = 0  # what its device takes over: TTF_OFFLOAD_ bits
    mtu: int = 0
    mac: str = ""
    ifindex: int = 0
    made_device: bool = False
    raised_link: bool = False
    tap_fds: list[int] = field(default_factory=list)
    queue_fds: list[int] = field(default_factory=list)
    plain_fds: list[int] = field(default_factory=list)  # driver packet: for frames that ask for no offload

    @property
    def name(self) -> str:
        return self.config.name

    def set_attached(self, queue: int, attached: bool) -> None:
        """Steer packets to a queue, or away from it while nobody serves it."""
        if self.tap_fds:
            tap.set_attached(self.tap_fds[queue], attached)

    def discard(self, queue: int) -> tuple[int, int, int]:
        """Take what a queue holds that nobody serves: packets, bytes, and packets that it had no room for."""
        if self.tap_fds:
            return (*tap.discard(self.tap_fds[queue], self.header_bytes), 0)
        return packet.discard(self.queue_fds[queue])

    def close(self) -> None:
        for fd in {*self.tap_fds, *self.queue_fds, *self.plain_fds}:
            os.close(fd)
        self.tap_fds = []
        self.queue_fds = []
        self.plain_fds = []


class Devices:
    """Makes and removes ports, and the namespaces that they needed."""

    def __init__(self, journal: Journal, after_crash: bool) -> None:
        """`after_crash`: the last incarnation of this instance left something behind."""
        self._after_crash = after_crash
        self._journal = journal
        self._netlink = Netlink()
        self._users: dict[Place, int] = {}  # ports in each namespace
        self._made: set[Place] = set()

    def open(self, config: PortConfig, queues: int) -> Port:
        """Make a port ready to forward, link up. Raises DeviceError or NotPermitted, and leaves nothing."""
        driver, note = choose(config)
        # Packet sockets show what local senders left undone, whether or not we leave anything undone.
        with_header = driver is PACKET or config.offload
        with ExitStack() as undo:
            place = self._use_namespace(config)
            undo.callback(self._forget_namespace, place)
            port = Port(config, driver, note, queues, lib.TTF_VNET_HDR_BYTES if with_header else 0, place)
            undo.callback(port.close)
            try:
                if driver is PACKET:
                    self._open_packet(port, undo)
                else:
                    self._open_tap(port)
            except NetlinkError as error:
                raise _netlink_failure(config.name, error) from None
            undo.pop_all()
        return port

    def close(self, port: Port) -> None:
        """Close the queues (a tap that we made goes with its last one) and remove what we made for it."""
        port.close()
        if port.driver is URING and port.made_device:
            # The ring of a worker that was killed holds its queue until the kernel gets round to unmaking it.
            with suppress(NetlinkError):  # gone, as it should be
                self._netlink.of(port.place).link("del", index=port.ifindex)
        if port.raised_link:
            self._lower_link(port)
        self._forget_namespace(port.place)

    def link_down(self, port: Port) -> None:
        """Have the kernel bring no more packets to a device that we made. Its queues can still be read."""
        if not port.made_device:
            return
        with suppress(NetlinkError):  # the device was removed under us: nothing can come from it
            self._netlink.of(port.place).link("set", index=port.ifindex, state="down")

    def counters(self, port: Port) -> dict[str, int] | None:
        """The device's IFLA_STATS64, None if it is gone."""
        link = self._netlink.link(port.place, port.name)
        return dict(link.get_attr("IFLA_STATS64")) if link is not None else None

    def seen(self, port: Port) -> dict[str, Any]:
        """The port's device as the host sees it now."""
        link = self._netlink.link(port.place, port.name)
        if link is None:
            return {"state": "gone"}
        try:
            addresses = self._netlink.of(port.place).get_addr(index=port.ifindex)
        except NetlinkError:  # gone since
            addresses = ()
        return {
            "ifindex": link["index"],
            "state": "up" if link["flags"] & _IFF_UP else "down",
            "mac": link.get_attr("IFLA_ADDRESS"),
            "mtu": link.get_attr("IFLA_MTU"),
            "queues": port.queues,
            "addresses": [f"{a.get_attr('IFA_ADDRESS')}/{a['prefixlen']}" for a in addresses],
        }

    def shutdown(self) -> None:
        self._netlink.close()

    # ------------------------------------------------------------------------------------ pieces

    def _open_tap(self, port: Port) -> None:
        config = port.config
        found = self._settled_link(port)
        if found is not None and _kind(found) != "tun":
            raise DeviceError(f'port "{config.name}": a device of that name exists and is no tap')
        if found is not None and _queues_held(found):
            # The kernel would give us more queues of it, and each holder a share of the packets.
            raise DeviceError(f'port "{config.name}": the tap\'s queues are held by another process')
        port.made_device = found is None
        for _ in range(port.queues):
            port.tap_fds.append(tap.open_queue(config.name, config.netns, config.offload))
        port.offloads = tap.set_offloads(config.name, port.tap_fds[0], config.offload)
        if port.driver in (TAP, URING):
            port.queue_fds = list(port.tap_fds)
        else:
            burst = port.driver is TURBOTAP_BURST
            port.queue_fds = turbotap.open_sockets(config.name, port.tap_fds, port.header_bytes, burst)
        netlink = self._netlink.of(port.place)
        index = self._device(port)["index"]
        settings: dict[str, Any] = {"mtu": config.effective_mtu}
        if config.mac is not None:
            settings["address"] = config.mac
        netlink.link("set", index=index, **settings)
        netlink.link("set", index=index, state="up")
        for address in config.address:
            flags = {"flags": _IFA_F_NODAD} if address.version == 6 else {}
            try:
                netlink.addr(
                    "add", index=index, address=str(address.ip), prefixlen=address.network.prefixlen, **flags
                )
            except NetlinkError as error:
                if error.code == errno.EACCES and address.version == 6:  # inet6_addr_add(): disable_ipv6
                    raise DeviceError(f'port "{config.name}": {address}: IPv6 is disabled there') from None
                if error.code != errno.EEXIST:  # a tap that was there before may have it already
                    raise
        self._read_back(port)

    def _open_packet(self, port: Port, undo: ExitStack) -> None:
        config = port.config
        link = self._device(port)
        if not link["flags"] & _IFF_UP:
            self._journal.links_up.append((config.netns, config.name))
            self._journal.save()
            port.raised_link = True
            undo.callback(self._lower_link, port)
            self._netlink.of(port.place).link("set", index=link["index"], state="up")
        port.queue_fds, port.plain_fds = packet.open_queues(config.name, config.netns, port.queues)
        if config.offload:
            port.offloads = packet.offloads(config.name, config.netns, link)
        self._read_back(port)

    def _settled_link(self, port: Port) -> Any | None:
        """The device of that name, if there is one. After a crash its last holders may still be exiting."""
        deadline = time.monotonic() + (_CRASH_GRACE_S if self._after_crash else 0.0)
        while True:
            found = self._netlink.link(port.place, port.name)
            if found is None or not _queues_held(found) or time.monotonic() >= deadline:
                return found
            time.sleep(0.01)

    def _device(self, port: Port) -> Any:
        link = self._netlink.link(port.place, port.name)
        if link is None:
            where = f' in network namespace "{port.config.netns}"' if port.config.netns else ""
            raise DeviceError(f'port "{port.name}": no such device{where}')
        return link

    def _read_back(self, port: Port) -> None:
        link = self._device(port)
        port.ifindex = link["index"]
        port.mtu = link.get_attr("IFLA_MTU")
        port.mac = link.get_attr("IFLA_ADDRESS") or ""
        if len(port.mac.split(":")) != _MAC_BYTES:
            raise DeviceError(f'port "{port.name}": a device without a MAC address is no Ethernet device')

    def _lower_link(self, port: Port) -> None:
        self._journal.links_up.remove((port.config.netns, port.name))
        self._journal.save()
        lower_link(self._netlink, port.place, port.name)

    def _use_namespace(self, config: PortConfig) -> Place:
        """Count a port in its namespace, which is made if there is none of that name."""
        name = config.netns
        if name is not None and not netns.exists(name):
            if config.driver == "packet":
                raise DeviceError(f'port "{config.name}": network namespace "{name}" doesn\'t exist')
            place = self._make_namespace(name)
        else:
            place = Place.named(name)
        self._users[place] = self._users.get(place, 0) + 1
        return place

    def _make_namespace(self, name: str) -> Place:
        self._journal.namespaces.append(name)
        self._journal.save()
        with ExitStack() as undo:
            undo.callback(self._unmake_namespace, name)
            netns.create(name)
            place = Place.named(name)
            undo.pop_all()
        self._made.add(place)
        return place

    def _unmake_namespace(self, name: str) -> None:
        netns.remove(name)
        self._journal.namespaces.remove(name)
        self._journal.save()

    def _forget_namespace(self, place: Place) -> None:
        self._users[place] -= 1
        if self._users[place]:
            return
        del self._users[place]
        self._netlink.forget(place)
        if place not in self._made:
            return
        self._made.remove(place)
        assert place.name is not None
        if netns.exists(place.name) and Place.named(place.name) == place:
            self._unmake_namespace(place.name)
        else:  # removed under us; by now the name may be somebody else's
            self._journal.namespaces.remove(place.name)
            self._journal.save()


def lower_link(netlink: Netlink, place: Place, name: str) -> None:
    link = netlink.link(place, name)
    if link is not None:
        netlink.of(place).link("set", index=link["index"], state="down")


def sweep(left_over: Journal) -> tuple[str, ...]:
    """Undo what a crashed incarnation made. Taps went with their last fd; namespaces and links didn't."""
    swept = []
    netlink = Netlink()
    for netns_name, name in left_over.links_up:
        if netns_name is None or netns.exists(netns_name):
            lower_link(netlink, Place.named(netns_name), name)
            swept.append(f"link {name} set down")
    netlink.close()
    for name in left_over.namespaces:
        if netns.exists(name):
            netns.remove(name)
            swept.append(f"network namespace {name}")
    return tuple(swept)


def _kind(link: Any) -> str | None:
    info = link.get_attr("IFLA_LINKINFO")
    return info.get_attr("IFLA_INFO_KIND") if info is not None else None


def _queues_held(link: Any) -> int:
    """How many queues of a multi-queue tap some process has open."""
    info = link.get_attr("IFLA_LINKINFO")
    data = info.get_attr("IFLA_INFO_DATA") if info is not None else None
    held = (data.get_attr(f"IFLA_TUN_NUM_{which}QUEUES") for which in ("", "DISABLED_")) if data else ()
    return sum(count or 0 for count in held)


def _netlink_failure(name: str, error: NetlinkError) -> DeviceError | NotPermitted:
    if error.code in (errno.EPERM, errno.EACCES):
        return NotPermitted(f'port "{name}": not permitted (run as root, or with CAP_NET_ADMIN)')
    return DeviceError(f'port "{name}": the kernel refused: {os.strerror(error.code)}')

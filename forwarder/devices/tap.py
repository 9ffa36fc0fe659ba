# SPDX-License-Identifier: Apache-2.0
"""Driver tap: the queues of a multi-queue tap, each read and written by its own fd.

A tap that doesn't exist is made, and goes with its last fd. One that exists is used if no process holds its
queues, and stays. Drivers that move bursts over taps by other means are subclasses.
"""

import errno
import os
import time
from contextlib import suppress
from typing import Any

from pyroute2.netlink.exceptions import NetlinkError

from forwarder import drivers
from forwarder.config.model import PortConfig
from forwarder.devices import changes, tap_queues
from forwarder.devices.crossing import Crossing
from forwarder.devices.link import driver_data, kind
from forwarder.devices.place import Place
from forwarder.devices.port import Offer, Port
from forwarder.devices.tap_queues import Rights
from forwarder.errors import DeviceError
from forwarder.native import lib

_CRASH_GRACE_S = 2.0
_IFA_F_NODAD = 0x02


class TapPort(Port):
    """A tap. It is made here if no device has its name."""

    emptied_by = drivers.TAP

    _tap_fds: tuple[int, ...] = ()
    _worker_fds: tuple[int, ...] = ()
    _rights = Rights()  # before we had it
    _granted = 0  # the offloads that the kernel's side takes: TTF_OFFLOAD_ bits

    @classmethod
    def offer(cls, config: PortConfig, crossing: Crossing | str) -> Offer | str:
        return Offer(drivers.TAP)

    def open(self) -> None:
        config = self.config
        self.header_bytes = lib.TTF_VNET_HDR_BYTES if config.offload else 0
        self.made_device = not self._takes_existing()
        for _ in range(self.queues):
            self._tap_fds += (tap_queues.open_queue(config.name, self.place, config.offload),)
        self._granted = tap_queues.set_offloads(config.name, self._tap_fds[0], config.offload)
        self._worker_fds = self._open_worker_fds()
        self._set_up_device()
        self._read_back()

    def _open_worker_fds(self) -> tuple[int, ...]:
        """The fd by which a worker reads and writes each queue: the queue's own."""
        return self._tap_fds

    def queue_fds(self, queue: int) -> tuple[int, ...]:
        return (self._worker_fds[queue],)

    def steer(self, queue: int, attached: bool) -> None:
        tap_queues.set_attached(self._tap_fds[queue], attached)

    def discard_fd(self, queue: int) -> int:
        return self._tap_fds[queue]

    def close(self) -> None:
        still_there = self._is_still_there()
        if still_there and self._device is not None:
            self._restore_rights()
        for fd in {*self._tap_fds, *self._worker_fds}:
            os.close(fd)
        self._tap_fds = self._worker_fds = ()
        self._set_back(still_there)
        if still_there and self.made_device and self._device is not None:
            # A worker that doesn't die, or the io_uring of one that just did, may hold a queue still.
            with suppress(NetlinkError):  # gone already, as usual
                self._host.netlink.of(self.device.place).link("del", index=self.device.ifindex)

    def _restore_rights(self) -> None:
        with suppress(NetlinkError, DeviceError):
            found = self._host.netlink.link_at(self.device.place, self.device.ifindex)
            if found is not None:
                tap_queues.restore(self._tap_fds, _rights(found), self._rights)

    def _whereabouts(self) -> tuple[Place, bytes] | None:
        for fd in self._tap_fds:
            name = tap_queues.device_name(fd)
            if name is None:
                continue  # a worker that is away has its queues detached
            netns_fd = tap_queues.open_netns(fd)
            if netns_fd is None:
                return self.device.place, name
            try:
                return self._host.netlink.place_of(netns_fd), name
            finally:
                os.close(netns_fd)
        return (self.device.place, b"") if self._lives_detached() else None

    def _lives_detached(self) -> bool:
        """Whether the tap lives, which none of its queues tells: each is detached, unless the tap is gone."""
        if self.device.is_gone:
            return False
        found = self._host.netlink.link_at(self.device.place, self.device.ifindex)
        return found is not None and kind(found) == "tun" and _queues_held(found) >= self.queues

    def _takes(self, place: Place, message: Any, thorough: bool) -> tuple[int, str]:
        return self._granted, ""

    def _takes_existing(self) -> bool:
        """Is there a device of that name? Raises DeviceError unless it is a tap that nobody holds."""
        found = self._settled_link()
        if found is None:
            return False
        if kind(found) != "tun":
            raise DeviceError(f'port "{self.name}": a device of that name exists and is not a tap')
        if _queues_held(found):
            # The kernel would give us more queues of it, and each holder a share of the packets.
            raise DeviceError(f'port "{self.name}": the tap\'s queues are held by another process')
        self._rights = _rights(found)
        return True

    def _settled_link(self) -> Any | None:
        """The device of that name, if there is one. After a crash its last holders may still be exiting."""
        deadline = time.monotonic() + (_CRASH_GRACE_S if self._host.after_crash else 0.0)
        while True:
            found = self._find_link()
            if found is None or not _queues_held(found) or time.monotonic() >= deadline:
                return found
            time.sleep(0.01)

    def _set_up_device(self) -> None:
        config, netlink = self.config, self._netlink
        link = self._link()
        index = link["index"]
        if not self.made_device:
            self._will_change(
                changes.planned(
                    link,
                    self.place,
                    mtu=config.effective_mtu,
                    mac=config.mac,
                    addresses=self._lacking_addresses(index),
                )
            )
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

    def _lacking_addresses(self, index: int) -> tuple[str, ...]:
        """The configured addresses that the device doesn't have."""
        has = changes.addresses_of(self._netlink, index)
        return tuple(str(address) for address in self.config.address if address not in has)


def _queues_held(link: Any) -> int:
    """How many queues of a multi-queue tap some process has open."""
    data = driver_data(link)
    held = (data.get_attr(f"IFLA_TUN_NUM_{which}QUEUES") for which in ("", "DISABLED_")) if data else ()
    return sum(count or 0 for count in held)


def _rights(link: Any) -> Rights:
    data = driver_data(link)
    if data is None:
        return Rights()
    owner, group = (data.get_attr(f"IFLA_TUN_{who}") for who in ("OWNER", "GROUP"))
    unset = Rights()
    return Rights(
        persistent=bool(data.get_attr("IFLA_TUN_PERSIST")),
        owner=unset.owner if owner is None else owner,
        group=unset.group if group is None else group,
    )

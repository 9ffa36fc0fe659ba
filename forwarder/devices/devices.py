# SPDX-License-Identifier: Apache-2.0
"""The devices of one instance: open and close its ports, and read their state from the kernel.

Guarantees that a port is whole or leaves nothing behind. sweep() undoes what a crashed supervisor made.
"""

import errno
import os
from contextlib import ExitStack, suppress
from typing import Any

from pyroute2.netlink.exceptions import NetlinkError

from forwarder.config.model import PortConfig
from forwarder.devices import netns
from forwarder.devices.choice import PORTS, choose
from forwarder.devices.namespaces import Namespaces
from forwarder.devices.netns import Netlink, Place, is_up
from forwarder.devices.port import Host, Port
from forwarder.errors import DeviceError, NotPermitted
from forwarder.rundir import Journal


class Devices:
    """Makes and removes ports, and the namespaces that they need."""

    def __init__(self, journal: Journal, after_crash: bool) -> None:
        """`after_crash`: the last incarnation of this instance left something behind."""
        self._netlink = Netlink()
        self._host = Host(self._netlink, journal, after_crash)
        self._namespaces = Namespaces(self._netlink, journal)

    def open(self, config: PortConfig, queues: int) -> Port:
        """Make a port ready to forward, link up. Raises DeviceError or NotPermitted, and leaves nothing."""
        choice = choose(config)
        driver = choice.driver
        if not driver.makes_device and config.netns is not None and not netns.exists(config.netns):
            raise DeviceError(f'port "{config.name}": network namespace "{config.netns}" doesn\'t exist')
        with ExitStack() as undo:
            place = self._namespaces.enter(config.netns)
            undo.callback(self._namespaces.leave, place)
            port = PORTS[driver.name](config, driver, choice.note, queues, place, self._host)
            undo.callback(port.close)
            try:
                port.open()
            except NetlinkError as error:
                raise _failure(config.name, error) from None
            undo.pop_all()
        return port

    def close(self, port: Port) -> None:
        """Close a port, and remove the namespace that was made for it unless it has other ports."""
        port.close()
        self._namespaces.leave(port.place)

    def link_down(self, port: Port) -> None:
        """Have the kernel bring no more packets to a device that we made. Its queues can still be read."""
        if not port.made_device:
            return
        with suppress(NetlinkError):  # the device was removed by somebody else: it brings nothing
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
            "state": "up" if is_up(link) else "down",
            "mac": link.get_attr("IFLA_ADDRESS"),
            "mtu": link.get_attr("IFLA_MTU"),
            "queues": port.queues,
            "addresses": [f"{a.get_attr('IFA_ADDRESS')}/{a['prefixlen']}" for a in addresses],
        }

    def shutdown(self) -> None:
        self._netlink.close()


def sweep(left_over: Journal) -> tuple[str, ...]:
    """Undo what a crashed supervisor made. Its taps went with their last fd; namespaces and links didn't."""
    swept = []
    netlink = Netlink()
    for netns_name, name in left_over.links_up:
        if netns_name is None or netns.exists(netns_name):
            netlink.set_down(Place.named(netns_name), name)
            swept.append(f"link {name} set down")
    netlink.close()
    for name in left_over.namespaces:
        if netns.exists(name):
            netns.remove(name)
            swept.append(f"network namespace {name}")
    return tuple(swept)


def _failure(name: str, error: NetlinkError) -> DeviceError | NotPermitted:
    if error.code in (errno.EPERM, errno.EACCES):
        return NotPermitted(f'port "{name}": not permitted (run as root, or with CAP_NET_ADMIN)')
    return DeviceError(f'port "{name}": the kernel refused: {os.strerror(error.code)}')

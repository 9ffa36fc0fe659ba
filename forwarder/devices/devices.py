# SPDX-License-Identifier: Apache-2.0
"""The devices of one instance: open and close its ports, and read their state from the kernel.

Guarantees that a port is whole or leaves nothing behind.
"""

import errno
import os
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from typing import Any

from pyroute2.netlink.exceptions import NetlinkError

from forwarder.config.model import PortConfig
from forwarder.devices import named_netns
from forwarder.devices.choice import PORTS, choose
from forwarder.devices.claims import Claims
from forwarder.devices.crossing import Crossing
from forwarder.devices.device import Device
from forwarder.devices.journal import Journal
from forwarder.devices.namespaces import Namespaces
from forwarder.devices.netlink import Netlink
from forwarder.devices.place import Place
from forwarder.devices.port import Host, Port
from forwarder.errors import DeviceError, NotPermitted


class Devices:
    """Makes and removes ports, and the namespaces that they need."""

    def __init__(self, journal: Journal, claims: Claims, crossing: Crossing | str, after_crash: bool) -> None:
        """`crossing`: or why there is none. `after_crash`: the last incarnation left something behind."""
        self._netlink = Netlink()
        self._host = Host(self._netlink, journal, claims, crossing, after_crash)
        self._namespaces = Namespaces(self._netlink, journal, claims)
        self._ports: set[Port] = set()

    def open(self, config: PortConfig, queues: int) -> Port:
        """Make a port ready to forward, link up. Raises TtfwdError, and leaves nothing."""
        crossing = self._host.crossing
        if isinstance(crossing, Crossing):
            choice = choose(config, crossing.lacks_room(queues) or crossing)
        else:
            choice = choose(config, crossing)
        driver = choice.driver
        if not driver.makes_device and config.netns is not None and not named_netns.exists(config.netns):
            raise DeviceError(f'port "{config.name}": network namespace "{config.netns}" doesn\'t exist')
        with ExitStack() as undo:
            place = self._namespaces.enter(config.netns, make=driver.makes_device)
            undo.callback(self._namespaces.leave, place)
            self._netlink.of(place)  # hear of changes from before the device is read
            port = PORTS[driver.name](config, driver, choice.note, queues, place, self._host)
            undo.callback(port.close)
            try:
                port.open()
            except NetlinkError as error:
                raise _failure(config.name, error) from None
            undo.pop_all()
        self._ports.add(port)
        return port

    def close(self, port: Port) -> None:
        """Close a port, and remove the namespace that was made for it unless it has other ports.

        Raises OSError, DeviceError, NotPermitted; the port is closed as far as it can be.
        """
        self._ports.discard(port)
        try:
            port.close()
        except NetlinkError as error:
            raise _failure(port.name, error) from None
        finally:
            self._namespaces.leave(port.place)
            self._forget_unused(port.device.place)

    def link_down(self, port: Port) -> None:
        """Have the kernel bring no more packets to a device that we made. Its queues can still be read."""
        if not port.made_device:
            return
        with suppress(NetlinkError):  # the device was removed by somebody else: it brings nothing
            device = self.look(port, thorough=False)
            if not device.is_gone:
                self._netlink.of(device.place).link("set", index=device.ifindex, state="down")

    # ------------------------------------------------------------------------------------- changes

    def fileno(self) -> int:
        """Readable when a device may have changed."""
        return self._netlink.fileno()

    def noticed(self) -> set[Port]:
        """The ports whose devices may have changed since the last call."""
        news = self._netlink.news()
        return {port for port in self._ports if _concerns(news.get(port.device.place, set()), port)}

    def look(self, port: Port, *, thorough: bool) -> Device:
        """See Port.look()."""
        before = port.device.place
        device = port.look(thorough=thorough)
        self._forget_unused(before)
        return device

    def _forget_unused(self, place: Place) -> None:
        """Let go of a namespace that no port's device is in any more."""
        if all(port.device.place != place for port in self._ports):
            self._netlink.forget(place)

    def counters(self, port: Port) -> Mapping[str, int] | None:
        """The device's IFLA_STATS64, None if it is gone or can't be read."""
        try:
            return self.look(port, thorough=False).counters or None
        except NetlinkError:
            return None

    def seen(self, port: Port) -> dict[str, Any]:
        """The port's device as the host sees it now."""
        device = self.look(port, thorough=True)
        if device.is_gone:
            return {"state": "gone"}
        try:
            addresses = tuple(self._netlink.of(device.place).get_addr(index=device.ifindex))
        except NetlinkError:  # gone since
            addresses = ()
        return {
            "ifindex": device.ifindex,
            "state": "down" if device.link == "down" else "up",
            "mac": device.mac,
            "mtu": device.mtu,
            "queues": port.queues,
            "addresses": [f"{a.get_attr('IFA_ADDRESS')}/{a['prefixlen']}" for a in addresses],
        }

    def shutdown(self) -> None:
        self._namespaces.close()
        self._netlink.close()


def _concerns(changed: set[int] | None, port: Port) -> bool:
    return changed is None or port.device.ifindex in changed


def _failure(name: str, error: NetlinkError) -> DeviceError | NotPermitted:
    if error.code in (errno.EPERM, errno.EACCES):
        return NotPermitted(f'port "{name}": not permitted (run as root, or with CAP_NET_ADMIN)')
    return DeviceError(f'port "{name}": the kernel refused: {os.strerror(error.code)}')

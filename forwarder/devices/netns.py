# SPDX-License-Identifier: Apache-2.0
"""Network namespaces and netlink: make, enter and remove namespaces; one netlink socket for each.

A name of None is the namespace that the process started in. Only inside() changes the namespace of the
calling thread, and changes it back.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pyroute2 import IPRoute, netns
from pyroute2.netlink.exceptions import NetlinkError

from forwarder.errors import DeviceError, NotPermitted

_IFF_UP = 1


def exists(name: str) -> bool:
    return name in netns.listnetns()


def create(name: str) -> None:
    """Make a namespace with its loopback up, as applications expect it. Raises DeviceError."""
    try:
        netns.create(name)
    except PermissionError:
        raise NotPermitted(f'network namespace "{name}" can\'t be made: not permitted') from None
    except OSError as error:
        raise DeviceError(f'network namespace "{name}" can\'t be made: {error.strerror}') from None
    with inside(name), IPRoute() as netlink:
        netlink.link("set", index=1, state="up")


def remove(name: str) -> None:
    if exists(name):
        netns.remove(name)


def is_up(link: Any) -> bool:
    """Whether a device is set up, by the kernel's message about it."""
    return bool(link["flags"] & _IFF_UP)


@contextmanager
def inside(name: str | None) -> Iterator[None]:
    """Run the body with this thread in the namespace. Raises DeviceError when it doesn't exist."""
    if name is None:
        yield
        return
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            netns.setns(name, flags=0)
        except PermissionError:
            raise NotPermitted(f'network namespace "{name}" can\'t be entered: not permitted') from None
        except OSError as error:
            raise DeviceError(
                f'network namespace "{name}" can\'t be entered: {os.strerror(error.errno or 0)}'
            ) from None
        try:
            yield
        finally:
            netns.setns(home)
    finally:
        os.close(home)


@dataclass(frozen=True)
class Place:
    """A namespace: its name, and its inode, which tells whether the name still stands for the same one."""

    name: str | None
    inode: int

    @classmethod
    def named(cls, name: str | None) -> "Place":
        """The namespace that has the name now. Raises DeviceError when there is none."""
        try:
            return cls(name, os.stat(f"{netns.NETNS_RUN_DIR}/{name}").st_ino if name is not None else 0)
        except OSError as error:
            raise DeviceError(f'network namespace "{name}": {error.strerror}') from None


class Netlink:
    """One open netlink socket for each namespace, so that reading counters costs no setns()."""

    def __init__(self) -> None:
        self._sockets: dict[Place, Any] = {}

    def of(self, place: Place) -> Any:
        if place not in self._sockets:
            with inside(place.name):  # a netlink socket stays in the namespace that it was made in
                self._sockets[place] = IPRoute()
        return self._sockets[place]

    def link(self, place: Place, name: str) -> Any | None:
        """The kernel's message about a device, None if there is none."""
        try:
            found = self.of(place).link("get", ifname=name)
        except NetlinkError:
            return None
        return found[0] if found else None

    def set_down(self, place: Place, name: str) -> None:
        """Set the link of a device down, if there is one of that name."""
        link = self.link(place, name)
        if link is not None:
            self.of(place).link("set", index=link["index"], state="down")

    def forget(self, place: Place) -> None:
        """Close the socket in a namespace, which the kernel keeps for as long as a socket is in it."""
        socket = self._sockets.pop(place, None)
        if socket is not None:
            socket.close()

    def close(self) -> None:
        for place in tuple(self._sockets):
            self.forget(place)

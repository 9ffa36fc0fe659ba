# SPDX-License-Identifier: Apache-2.0
"""Finds the other end of a veth pair, in any network namespace that has a name.

A veth tells the index of its peer, and the number that its own namespace has for the peer's. An index alone
would not do: devices in different namespaces have the same ones.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from pyroute2.netlink.exceptions import NetlinkError

from forwarder.deferred import signals_deferred
from forwarder.devices.device import printable
from forwarder.devices.link import kind
from forwarder.devices.place import DIRECTORY, OF_THIS_THREAD, Place
from forwarder.devices.rtnetlink import RtNetlink
from forwarder.errors import DeviceError, TtfwdError

_UNNUMBERED = 0xFFFFFFFF  # NETNSA_NSID_NOT_ASSIGNED


def peer_of(netns: str | None, device: str) -> tuple[str | None, str] | None:
    """Namespace and name of the other end; None if it is no veth, or its peer's namespace has no name.

    Raises DeviceError if there is no such device, and NotPermitted.
    """
    with signals_deferred():
        return _peer_of(netns, device)


def _peer_of(netns: str | None, device: str) -> tuple[str | None, str] | None:
    with _namespaces() as named, Place.named(netns).inside(), RtNetlink() as route:
        link = _found(route, ifname=device)
        if link is None:
            where = f' in network namespace "{netns}"' if netns else ""
            raise DeviceError(f"{device}: there is no such device{where}")
        other_end, number = link.get_attr("IFLA_LINK"), link.get_attr("IFLA_LINK_NETNSID")
        if kind(link) != "veth" or not other_end:
            return None
        if number is None:
            found = _found(route, index=other_end)
            return (netns, _name(found)) if found is not None else None
        candidates = [name for name, fd in named.items() if _number_of(route, fd) == number]
    for name in candidates:
        with suppress(TtfwdError), Place.named(name).inside(), RtNetlink() as route:
            found = _found(route, index=other_end)
            if found is not None and kind(found) == "veth" and found.get_attr("IFLA_LINK") == link["index"]:
                return name, _name(found)
    return None


def _found(route: RtNetlink, **which: str | int) -> Any | None:
    """The kernel's message about a link. The kernel refuses to look for what is no name of a device."""
    try:
        return next(iter(route.link("get", **which)), None)
    except NetlinkError:
        return None


def _name(link: Any) -> str:
    return printable(link.get_attr("IFLA_IFNAME"))


@contextmanager
def _namespaces() -> Iterator[dict[str | None, int]]:
    """An fd of every namespace that can be named: this thread's, and those with a name."""
    with ExitStack() as stack:
        found: dict[str | None, int] = {}
        for name, path in {None: OF_THIS_THREAD, **_named()}.items():
            with suppress(OSError):  # removed meanwhile
                found[name] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                stack.callback(os.close, found[name])
        yield found


def _named() -> dict[str | None, Path]:
    with suppress(OSError):  # no namespace ever had a name
        return {path.name: path for path in sorted(DIRECTORY.iterdir())}
    return {}


def _number_of(route: RtNetlink, fd: int) -> int | None:
    """The number that the namespace of `route` has for that of an fd; None if it has none."""
    try:
        number: int = route.get_netnsid(fd=fd)["nsid"]
    except NetlinkError:  # not a namespace, but a file beside them
        return None
    return number if number != _UNNUMBERED else None

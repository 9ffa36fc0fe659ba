# SPDX-License-Identifier: Apache-2.0
"""Who uses a network namespace besides this instance: it mustn't lose its name under them.

Other instances, by their claims; processes that run in it; devices that neither we nor the kernel put there.
Processes in another pid namespace than ours can't be seen.
"""

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any

from pyroute2.netlink.exceptions import NetlinkError

from forwarder.devices.claims import Claims
from forwarder.devices.link import driver_data, kind
from forwarder.devices.netlink import reason
from forwarder.devices.place import Place, inode_of
from forwarder.devices.rtnetlink import RtNetlink
from forwarder.errors import DeviceError

_PROC = Path("/proc")
_SHOWN = 3  # users of each kind
_TAPS_GRACE_S = 2.0
# Every namespace gets these from the kernel, those after lo once a tunnel's module is loaded.
_OF_THE_KERNEL = frozenset(
    ("lo", "tunl0", "gre0", "gretap0", "erspan0", "ip_vti0", "ip6_vti0", "sit0", "ip6tnl0", "ip6gre0")
)


def users_of(place: Place, claims: Claims) -> str | None:
    """The users of a namespace that we have no port in any more, in words; None if there are none.

    Call with the door of the claims held. Raises DeviceError, NotPermitted.
    """
    others = (f'instance "{name}" has ports in it' for name in claims.others_in(place))
    found = chain(_first(others), _first(_processes(place)), _first(_devices(place)))
    return "; ".join(found) or None


def wait_for_taps(place: Place) -> None:
    """After a crash: taps of dead workers go a moment later, when the kernel closes their last fd."""
    deadline = time.monotonic() + _TAPS_GRACE_S
    while any(map(_goes_with_its_holder, _links(place))) and time.monotonic() < deadline:
        time.sleep(0.01)


def _first(users: Iterator[str]) -> Iterator[str]:
    for number, user in enumerate(users, 1):
        if number > _SHOWN:
            yield "and others"
            return
        yield user


def _processes(place: Place) -> Iterator[str]:
    for process in _PROC.glob("[0-9]*"):
        with suppress(OSError):  # it ended, or isn't ours to look at
            if inode_of(os.stat(process / "ns/net")) == place.inode:
                name = (process / "comm").read_bytes().decode(errors="replace").rstrip("\n")
                yield f"process {process.name} ({_printable(name)}) runs in it"


def _devices(place: Place) -> Iterator[str]:
    for link in _links(place):
        name = link.get_attr("IFLA_IFNAME")
        if name not in _OF_THE_KERNEL:
            yield f'device "{_printable(name)}" is in it'


def _printable(name: str) -> str:
    """Names that other users choose, for our log."""
    return "".join(letter if letter.isprintable() else "?" for letter in name)


def _links(place: Place) -> tuple[Any, ...]:
    try:
        with place.inside(), RtNetlink() as netlink:
            return tuple(netlink.get_links())
    except (OSError, NetlinkError) as error:
        raise DeviceError(
            f'the devices in network namespace "{place.name}" can\'t be listed: {reason(error)}'
        ) from None


def _goes_with_its_holder(link: Any) -> bool:
    if kind(link) != "tun":
        return False
    data = driver_data(link)
    return data is not None and not data.get_attr("IFLA_TUN_PERSIST")

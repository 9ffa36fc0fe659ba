# SPDX-License-Identifier: Apache-2.0
"""A veth pair for the tester's test of itself, in a network namespace of its own.

The namespace's name has the pid of its maker. So what a killed one left is known, and the next removes it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from pyroute2.netlink.exceptions import NetlinkError

from forwarder.deferred import signals_deferred
from forwarder.devices import named_netns
from forwarder.devices.netlink import reason
from forwarder.devices.place import DIRECTORY, Place
from forwarder.devices.rtnetlink import RtNetlink
from forwarder.errors import DeviceError, TtfwdError
from forwarder.tester.trial import Endpoint

_PREFIX = "ttfwd-selftest-"
_NAMES = ("selftest0", "selftest1")


@contextmanager
def loopback(mtu: int) -> Iterator[tuple[Endpoint, Endpoint]]:
    """Two ends of a veth pair that are up, until the block ends. Raises DeviceError, NotPermitted."""
    name = f"{_PREFIX}{os.getpid()}"
    with ExitStack() as undo:
        with signals_deferred():
            _sweep()
            place = named_netns.make_unnamed(name)
            named_netns.give_name(place)
            undo.callback(named_netns.take_name, place)  # the pair goes with the namespace
            with place.inside():
                _without_ipv6()
                _make_pair(mtu)
        yield Endpoint(_NAMES[0], name), Endpoint(_NAMES[1], name)


def _make_pair(mtu: int) -> None:
    try:
        near, far = _NAMES
        with RtNetlink() as route:
            route.link("add", ifname=near, mtu=mtu, kind="veth", peer={"ifname": far, "mtu": mtu})
            for name in _NAMES:
                route.link("set", index=route.link_lookup(ifname=name)[0], state="up")
    except (OSError, NetlinkError) as error:
        raise DeviceError(f"a veth pair for the self-test can't be made: {reason(error)}") from None


def _without_ipv6() -> None:
    """So that the kernel sends nothing there by itself."""
    with suppress(OSError):  # a kernel without IPv6
        Path("/proc/sys/net/ipv6/conf/default/disable_ipv6").write_text("1\n")


def _sweep() -> None:
    with suppress(OSError):
        for path in DIRECTORY.glob(f"{_PREFIX}*"):
            found = re.fullmatch(re.escape(_PREFIX) + r"(\d+)", path.name)
            if found is not None and not Path("/proc", found[1]).exists():
                with suppress(TtfwdError):
                    named_netns.take_name(Place.named(path.name))

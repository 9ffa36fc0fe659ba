# SPDX-License-Identifier: Apache-2.0
"""Two ends of a wire for the tester, each in a namespace of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from forwarder.tester.trial import Endpoint
from tests.support.commands import in_namespace, ip, run
from tests.support.netns import namespace

Wire = tuple[Endpoint, Endpoint]


@contextmanager
def wire(*, mtu: int = 1500) -> Iterator[Wire]:
    """A veth pair that takes redirected frames at both ends: it receives by NAPI, since GRO is on."""
    with namespace() as near, namespace() as far:
        size = ("mtu", str(mtu), "numtxqueues", "1", "numrxqueues", "1")
        peer = ("peer", "name", "far", *size, "netns", far)
        ip("link", "add", "near", *size, "type", "veth", *peer, netns=near)
        for netns, device in ((near, "near"), (far, "far")):
            ip("link", "set", device, "up", netns=netns)
            # After it is up: Linux 6.18 overlooks an earlier one.
            run(*in_namespace(netns, "ethtool", "-K", device, "gro", "on"))
        yield Endpoint("near", near), Endpoint("far", far)

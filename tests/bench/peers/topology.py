# SPDX-License-Identifier: Apache-2.0
"""The surroundings of every forwarder, the same for all:

    netns source          netns middle             netns sink
    [source]===========(   forwarder   )===========[sink]              taps: the forwarder's own
    [source]---veth---[port-a] forwarder [port-b]---veth---[sink]      veths: made here

Load enters `source` from the kernel's side, and the kernel counts what reaches `sink`. The kernel sends
nothing on its own: IPv6 is off, and only application runs set addresses. Each forwarder gets its own
namespaces, and everything that it leaves there is removed with them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from pyroute2 import IPRoute

from forwarder.devices import netns
from tests.bench.commands import ethtool
from tests.bench.lab import Lab

SOURCE, SINK = "source", "sink"
PORT_A, PORT_B = "port-a", "port-b"
SOURCE_ADDRESS, SINK_ADDRESS = "198.18.1.1", "198.18.1.2"  # RFC 2544's range
_PREFIX_BITS = 24
# Without these a device gets only complete frames within its MTU.
_SEGMENTS = ("tso", "gso", "tx")


@dataclass(frozen=True)
class Topology:
    """Three namespaces. Removing them removes all their devices."""

    source: Lab
    middle: Lab
    sink: Lab

    @classmethod
    @contextmanager
    def made(cls, name: str) -> Iterator[Topology]:
        with ExitStack() as labs:
            source, middle, sink = (
                labs.enter_context(Lab.made(f"{name}-{place}")) for place in ("source", "middle", "sink")
            )
            yield cls(source, middle, sink)

    def make_veths(self) -> None:
        """A veth pair on either side. The ports receive by NAPI, as they refuse XDP frames without it."""
        for port, device, place in ((PORT_A, SOURCE, self.source), (PORT_B, SINK, self.sink)):
            with netns.inside(self.middle.netns), IPRoute() as netlink:
                peer = {"ifname": device, "net_ns_fd": place.netns}
                netlink.link("add", ifname=port, kind="veth", peer=peer)
                netlink.link("set", ifname=port, state="up")
            _set_up(place, device)
            ethtool(self.middle.netns, port, "gro", on=True)

    def place_taps(self) -> None:
        """Move the forwarder's taps with these names from the middle to the outer namespaces."""
        for device, place in ((SOURCE, self.source), (SINK, self.sink)):
            with netns.inside(self.middle.netns), IPRoute() as netlink:
                netlink.link("set", ifname=device, net_ns_fd=place.netns)
            _set_up(place, device)

    def complete_frames_only(self) -> None:
        """For veth forwarders without offloads: senders make frames within the MTU, with checksums."""
        for place, far, port in ((self.source, SOURCE, PORT_A), (self.sink, SINK, PORT_B)):
            ethtool(self.middle.netns, port, "gro", on=False)
            for feature in _SEGMENTS:
                ethtool(place.netns, far, feature, on=False)

    def give_addresses(self) -> None:
        for place, device, address in (
            (self.source, SOURCE, SOURCE_ADDRESS),
            (self.sink, SINK, SINK_ADDRESS),
        ):
            with netns.inside(place.netns), IPRoute() as netlink:
                index = netlink.link_lookup(ifname=device)[0]
                netlink.addr("add", index=index, address=address, prefixlen=_PREFIX_BITS)

    def offered_packets(self) -> int:
        """Packets that the generator gave to the source's device, including those that found no room."""
        found = self.source.counters(SOURCE)
        return found.tx_packets + found.tx_dropped if found else 0

    def delivered_packets(self) -> int:
        return self.sink.delivered(SINK)


def _set_up(place: Lab, device: str) -> None:
    with netns.inside(place.netns), IPRoute() as netlink:
        netlink.link("set", ifname=device, state="up")

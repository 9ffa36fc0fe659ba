# SPDX-License-Identifier: Apache-2.0
"""Devices change under a running instance, by other hands than its own, while TCP runs through them.

The statistics and the log say what a device has become, and traffic goes on where it can.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from forwarder.stats.snapshot import Port
from tests.netns.applications import answered
from tests.netns.topology import Lab, Side, lab
from tests.netns.transfer import Stream
from tests.support.commands import in_namespace, ip, run
from tests.support.drivers import PLAIN, URING, extended
from tests.support.instance import Instance, instance
from tests.support.netns import namespace
from tests.support.wait import wait_until

# At the speed of a stream that lives on retransmissions, this would take minutes.
FLOWS_BYTES = 16 << 20
LEFT, RIGHT = "10.9.0.1", "10.9.0.2"
EVERY = (*PLAIN, *URING)


@dataclass(frozen=True)
class Running:
    it: Instance
    lab: Lab

    @property
    def sides(self) -> tuple[Side, Side]:
        left, right = self.lab.sides
        return left, right

    def netns(self, port: int) -> str:
        """The namespace of a port's device, which with driver packet isn't its side's."""
        return str(self.lab.ports[port]["netns"])

    def set(self, port: int, *words: str, device: str = "") -> None:
        ip("link", "set", device or f"p{port}", *words, netns=self.netns(port))

    def features(self, port: int, *words: str) -> None:
        run(*in_namespace(self.netns(port), "ethtool", "-K", f"p{port}", *words))

    def shows(self, port: int, what: str, **values: object) -> Port:
        """Wait until the statistics show these values of a port."""

        def found() -> bool:
            now = self.it.port(f"p{port}")
            return {name: getattr(now, name) for name in values} == values

        wait_until(found, f"statistics show {values} after {what}")
        return self.it.port(f"p{port}")

    def says(self, line: str) -> None:
        wait_until(lambda: line in self.it.log, f'the log says "{line}"')


@contextmanager
def running(driver: str, mode: str = "xconnect") -> Iterator[Running]:
    with lab(driver, driver) as it_lab, instance(it_lab.config(mode, queues=2)) as it:
        for side, address in zip(it_lab.sides, (LEFT, RIGHT), strict=True):
            side.address(f"{address}/24")
        yield Running(it, it_lab)


def stranger(netns: str, ifindex: int) -> None:
    """Give another device the name that p1 had, and its index."""
    peer = ("type", "veth", "peer", "name", "stranger7")
    ip("link", "add", "p1", "index", str(ifindex), "mtu", "1234", *peer, netns=netns)
    ip("link", "set", "p1", "up", netns=netns)


def remove_stranger(netns: str) -> None:
    """It must be as it was made."""
    assert "UP" in ip("link", "show", "p1", netns=netns)
    ip("link", "delete", "p1", netns=netns)


@pytest.mark.parametrize("driver", [*EVERY, extended("turbotap-zerocopy")])
def test_tcp_goes_on_while_its_devices_change(driver: str) -> None:
    with running(driver) as here:
        left, right = here.sides
        with Stream(left, right, RIGHT) as stream:
            stream.flows(FLOWS_BYTES, "before anything changed")

            for side in here.sides:
                ip("link", "set", side.device, "mtu", "9000", netns=side.netns)
            for port in (0, 1):
                here.set(port, "mtu", "9000")
                here.shows(port, "its MTU was raised", mtu=9000)
                here.says(f"port p{port}: MTU 1500 -> 9000")
            wait_until(
                lambda: answered(left, RIGHT, "-s", "8000", "-M", "do"), "a packet of 8,028 bytes crossed"
            )
            stream.flows(FLOWS_BYTES, "after the MTU was raised")

            for words in (
                ("tso", "off"),
                ("gso", "off"),
                ("tx", "off"),
                ("tx", "on", "tso", "on", "gso", "on"),
            ):
                here.features(1, *words)
                stream.flows(FLOWS_BYTES, f"after {words}")

            mac = "02:00:00:00:77:01"
            here.set(1, "address", mac)
            here.shows(1, "its address was changed", mac=mac)
            for side in here.sides:
                ip("neigh", "flush", "all", netns=side.netns)
            stream.flows(FLOWS_BYTES, "after the MAC address was changed")

            here.set(1, "down")
            here.shows(1, "its link was set down", link="down")
            here.set(1, "up")
            here.shows(1, "its link was set up", link="up")
            stream.flows(FLOWS_BYTES, "after the link was down")

            here.set(1, "name", "other7")
            before = here.shows(1, "it was renamed", device_name="other7").device
            here.says("name p1 -> other7")
            assert before is not None
            stream.flows(FLOWS_BYTES, "after it was renamed")
            here.it.wait(
                lambda s: (
                    (device := s.ports[1].device) is not None
                    and max(device.rx_bytes, device.tx_bytes)
                    > max(before.rx_bytes, before.tx_bytes) + FLOWS_BYTES // 2
                ),
                "the counters are still those of the device",
            )

        for side in here.sides:
            ip(
                "link",
                "set",
                side.device if driver == "packet" or side is left else "other7",
                "mtu",
                "1400",
                netns=side.netns,
            )
        here.set(0, "mtu", "1400")
        here.set(1, "mtu", "1400", device="other7")
        for number in (0, 1):
            here.shows(number, "its MTU was lowered", mtu=1400)
        with Stream(left, right, RIGHT) as stream:
            stream.flows(FLOWS_BYTES, "with a lower MTU")
        assert "Traceback" not in here.it.log


def test_a_device_that_segments_no_more_gets_packets() -> None:
    with running("packet") as here:
        assert "tso4" in here.it.port("p1").offloads
        left, right = here.sides
        with Stream(left, right, RIGHT) as stream:
            here.features(1, "tso", "off", "gso", "off")
            wait_until(lambda: "tso4" not in here.it.port("p1").offloads, "its features are read again")
            stream.flows(FLOWS_BYTES, "after TSO was turned off")
            here.features(1, "tso", "on", "gso", "on")
            wait_until(lambda: "tso4" in here.it.port("p1").offloads, "its features are read again")
            here.set(1, "gso_max_size", "30000")
            here.shows(1, "its limit was lowered", offloads=("csum",))
            here.says("(gso_max_size 30000)")
            stream.flows(FLOWS_BYTES, "after its limit was lowered")


@pytest.mark.parametrize("driver", ["tap", *URING, extended("turbotap-zerocopy")])
def test_a_tap_is_followed_into_another_namespace(driver: str) -> None:
    with running(driver) as here, namespace() as elsewhere:
        left, right = here.sides
        ifindex = here.it.port("p1").ifindex
        here.set(1, "netns", elsewhere)
        here.shows(1, "it was moved", netns=elsewhere, link="down")
        here.says(f"port p1: namespace {right.netns} -> {elsewhere}")
        moved = Side(elsewhere, "p1")
        moved.address(f"{RIGHT}/24")
        ip("link", "set", "p1", "mtu", "4000", "up", netns=elsewhere)
        here.shows(1, "it was set up there", link="up", mtu=4000)
        with Stream(left, moved, RIGHT) as stream:
            stream.flows(FLOWS_BYTES, "in the other namespace")
        stranger(right.netns, ifindex)
        ip("link", "set", "p1", "mtu", "5000", netns=elsewhere)
        assert here.shows(1, "it was changed there", mtu=5000).netns == elsewhere
        rename: list[str | bytes] = [*in_namespace(elsewhere, "ip", "link", "set", "p1", "name")]
        subprocess.run([*rename, b"\xffa\x1b[2J\xc3\xa4bcdefg"], check=True)
        here.shows(1, "it got a name that a terminal would obey", device_name="?a?[2Jäbcdefg")
        here.says("name p1 -> ?a?[2Jäbcdefg")
        assert "p1 (now ?a?[2Jäbcdefg)" in here.it.cli("stats", "--interval", "0.05").stdout
        here.it.cli("delete", "p1")
        remove_stranger(right.netns)


@pytest.mark.parametrize("driver", [*EVERY, extended("turbotap-zerocopy")])
def test_a_device_that_somebody_deletes_is_gone_and_a_stranger_is_not_taken_for_it(driver: str) -> None:
    with running(driver) as here:
        left, right = here.sides
        netns = here.netns(1)
        with Stream(left, right, RIGHT) as stream:
            stream.flows(1 << 20, "before")
        ip("link", "delete", "p1", netns=netns)
        port = here.shows(1, "it was deleted", link="gone")
        here.says("port p1: link up -> gone")
        stranger(netns, port.ifindex)
        before = port.device
        assert before is not None
        here.set(0, "mtu", "1300")
        here.shows(0, "the other port is followed", mtu=1300)
        now = here.it.port("p1")
        assert (now.link, now.mtu) == ("gone", 1500)
        assert now.device is not None
        assert now.device.tx_packets == before.tx_packets
        here.it.cli("delete", "p1")
        remove_stranger(netns)


def test_a_packet_device_that_is_moved_away_and_back_is_gone() -> None:
    with running("packet") as here, namespace() as elsewhere:
        netns = here.netns(1)
        ip("link", "set", "p1", "netns", elsewhere, netns=netns)
        ip("link", "set", "p1", "netns", netns, netns=elsewhere)
        ip("link", "set", "p1", "up", netns=netns)
        here.shows(1, "it was moved away and back", link="gone")
        here.it.cli("delete", "p1")
        here.it.cli("connect", "p1", "--netns", netns, "--driver", "packet", "--peer", "p0")
        here.shows(1, "it was connected again", link="up")
        left, right = here.sides
        with Stream(left, right, RIGHT) as stream:
            stream.flows(FLOWS_BYTES, "after it was connected again")

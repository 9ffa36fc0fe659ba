# SPDX-License-Identifier: Apache-2.0
"""Each packet that isn't forwarded has a drop reason, and the kernel's drops before us are counted.

netns            instance            netns
[p0]============( p0   p1 )============[p1]
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Dot1AD, Dot1Q, Ether

from forwarder.native import lib
from tests.netns.checks import offered, reached, stop_worker_and_flood
from tests.netns.frames import assert_same, flow_frames, padded
from tests.netns.topology import TIMEOUT_S, lab
from tests.support.commands import ip
from tests.support.drivers import PLAIN, URING, extended
from tests.support.instance import Instance, instance
from tests.support.netns import namespace
from tests.support.offloads import vnet_header
from tests.support.tap import inexpressible_frame, tap
from tests.support.wait import wait_until

COUNT = 50


def assert_dropped(it: Instance, reason: str, count: int) -> None:
    it.wait(lambda now: now.counters.drops[reason] >= count, f"{count} packets dropped as {reason}")
    counters = it.settled().counters
    assert (counters.drops[reason], counters.dropped_packets) == (count, count)


@pytest.mark.parametrize(
    "driver", [*PLAIN, *URING, extended("turbotap-burst"), extended("turbotap-zerocopy")]
)
def test_a_link_that_is_down_and_comes_back(driver: str) -> None:
    with lab(driver, driver) as it_lab, instance(it_lab.config("xconnect", queues=2)) as it:
        left, right = it_lab.sides
        netns = str(it_lab.ports[1]["netns"])
        frames = flow_frames(1, COUNT)
        ip("link", "set", "p1", "down", netns=netns)
        left.send(frames)
        assert_dropped(it, "link_down", COUNT)
        assert "works again" not in it.log
        ip("link", "set", "p1", "up", netns=netns)
        with left.capture() as at_left, right.capture() as at_right:
            left.send(frames)
            assert_same(at_right.take(COUNT), frames)
            # Receiving from it continues too: a packet socket reports once that its device went down.
            right.send(frames)
            assert_same(at_left.take(COUNT), frames)
        assert_dropped(it, "link_down", COUNT)


@pytest.mark.parametrize("driver", [*PLAIN, extended("turbotap-zerocopy")])
def test_longer_than_the_mtu_of_the_way_out(driver: str) -> None:
    with (
        lab(driver, driver, mtus=(9000, 1500)) as it_lab,
        instance(it_lab.config("xconnect", queues=2)) as it,
    ):
        left, right = it_lab.sides
        fit = flow_frames(1, 5, 1514)
        too_long = flow_frames(1, 3, 1515) + flow_frames(1, 4, 9014)
        with right.capture() as at_right:
            left.send(too_long[:4] + fit + too_long[4:])
            assert_same(at_right.take(len(fit)), fit)
        assert_dropped(it, "oversize", len(too_long))


def test_a_port_without_a_peer() -> None:
    with lab("tap") as it_lab, instance('mode = "xconnect"\nqueues = 2\n') as it:
        (side,) = it_lab.sides
        it.cli("connect", side.device, "--netns", side.netns, "--driver", "tap")
        side.send(flow_frames(1, COUNT))
        assert_dropped(it, "no_port", COUNT)
        it.cli("delete", side.device)
        assert_dropped(it, "no_port", COUNT)


def test_a_peer_that_was_deleted() -> None:
    with lab("tap", "tap") as it_lab, instance(it_lab.config("xconnect", queues=2)) as it:
        it.cli("delete", "p1")
        it_lab.sides[0].send(flow_frames(1, COUNT))
        assert_dropped(it, "no_port", COUNT)


@pytest.mark.parametrize("driver", [*PLAIN, *URING, extended("turbotap-zerocopy")])
def test_what_the_kernel_drops_before_us_is_known(driver: str) -> None:
    # More than a tap's queue (1,000 packets) or a packet socket's buffer (16 MiB, doubled) holds.
    count, size = (3_000, 60) if driver != "packet" else (6_000, 9_014)
    frames = flow_frames(2, 1, size) * count
    with lab(driver, driver, mtus=(9000, 9000)) as it_lab:
        config = it_lab.config("xconnect", queues=1, heartbeat_timeout_ms=60_000)
        with instance(config) as it:
            left, right = it_lab.sides
            stop_worker_and_flood(it, left, frames)
            it.wait(
                lambda now: sum(reached(now, "p0")) >= count,
                "every packet is received, or dropped before us",
                TIMEOUT_S,
            )
            it.settled()
            assert offered(left) == count
            received, dropped = reached(it.stats(), "p0")
            assert 0 < dropped < count
            assert received + dropped == count
            # All received packets went on: the sink's device has them, except those that it refused.
            other = it.port("p1")
            wait_until(
                lambda: right.counters("rx")["packets"] == other.counters.tx_packets, "the sink has all"
            )
            assert it.stats_json()["ports"][0]["kernel_dropped_before_packets"] == dropped


def test_what_a_packet_port_holds_that_nobody_serves_is_named() -> None:
    """More packets than ring slots arrive while the only worker is away, and the instance ends like that."""
    count = int(lib.TTF_PACKET_SLOTS) + 500
    frames = flow_frames(1, 1) * count
    with lab("packet", "packet") as it_lab, instance(it_lab.config("xconnect", queues=1)) as it:
        while (worker := it.stats().workers[0]).state != "backoff":
            if worker.state == "ready":
                with suppress(ProcessLookupError):  # the last kill isn't reported yet
                    os.kill(worker.pid, signal.SIGKILL)
            time.sleep(0.01)
        left = it_lab.sides[0]
        left.send(frames)
        assert offered(left) == count
        counters = it.stop().ports[0].counters
        assert counters.rx_packets == counters.drops["shutdown"] == int(lib.TTF_PACKET_SLOTS)
        assert counters.kernel_drops == count - counters.rx_packets


def test_a_packet_ring_that_the_kernel_fills_no_more_is_renewed() -> None:
    """Where the kernel is corrected, a worker that gets nothing but such frames sees the same."""
    with lab("tap") as it_lab, namespace() as netns, tap("in0", netns) as fd:
        ports = f'''
            [[port]]
            name = "in0"
            driver = "packet"
            netns = "{netns}"
            '''
        with instance(it_lab.config("bridge", queues=1, tables=ports)) as it:
            (right,) = it_lab.sides

            def renewed() -> bool:
                os.write(fd, inexpressible_frame())
                return "gets a new ring" in it.log

            def crosses() -> bool:
                os.write(fd, vnet_header() + probe)
                return it.stats().counters.tx_packets > sent_before

            wait_until(renewed, "the ring is renewed")
            sent_before = it.stats().counters.tx_packets
            (probe,) = flow_frames(1, 1)
            wait_until(crosses, "the new ring is in use: what comes before that is lost")
            it.settled()
            frames = flow_frames(4, 20)
            with right.capture() as capture:
                for frame in frames:
                    os.write(fd, vnet_header() + frame)
                assert_same(capture.take(len(frames)), frames)
            assert it.settled().counters.kernel_drops > 1


def test_vlan_tags_do_not_count_towards_the_mtu() -> None:
    headers = IP(src="198.18.0.1", dst="198.18.0.2") / UDP(sport=1, dport=9)
    tagged = (
        Ether(src="02:00:00:00:00:0a", dst="02:00:00:00:00:0b") / Dot1AD(vlan=1) / Dot1Q(vlan=2) / headers
    )
    with lab("tap", "tap", mtus=(9000, 1500)) as it_lab, instance(it_lab.config("xconnect")) as it:
        left, right = it_lab.sides
        with right.capture() as capture:
            left.send([padded(tagged, 1523, 1, 0)])
            left.send(fits := [padded(tagged, 1522, 1, 1)])
            assert_same(capture.take(1), fits)
        assert_dropped(it, "oversize", 1)

# SPDX-License-Identifier: Apache-2.0
"""Modes xconnect, macswap, rxonly and txonly with every driver: each frame whole, once, in order, counted.

netns              instance              netns
[p0]============( p0  ...  p1 )============[p1]     xconnect
[p0]============( p0 )                              macswap, rxonly, txonly
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import product

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from tests.netns.checks import arrived_at, assert_devices_agree, offered, port_counts, reached
from tests.netns.frames import assert_same, flow_frames, of_every_kind
from tests.netns.topology import Capture, Side, lab
from tests.support.drivers import PLAIN, URING, extended
from tests.support.instance import instance

FLOWS = 12
ROUNDS = 3
BURST = 20


def send_and_compare(source: Side, capture: Capture, frames: list[bytes]) -> None:
    source.send(frames)
    assert_same(capture.take(len(frames)), frames)


@pytest.mark.parametrize(
    ("driver", "queues", "mtu"),
    [*product(PLAIN, [1, 4], [1500, 9000]), ("uring", 4, 9000), extended("turbotap-zerocopy", 4, 9000)],
)
def test_xconnect_carries_every_frame_unchanged(driver: str, queues: int, mtu: int) -> None:
    frames = of_every_kind(mtu)
    with lab(driver, driver, mtus=(mtu, mtu)) as it_lab:
        left, right = it_lab.sides
        with instance(it_lab.config("xconnect", queues=queues)) as it, left.capture() as at_left:
            with right.capture() as at_right:
                send_and_compare(left, at_right, frames)
                send_and_compare(right, at_left, frames)
                assert at_right.take(0) == []
            assert_devices_agree(it, left, right)
            assert it.stats().counters.rx_packets == 2 * len(frames)
            assert it.stats().counters.rx_bytes == 2 * sum(map(len, frames))
            assert it.stats().counters.tx_bytes == 2 * sum(map(len, frames))


@pytest.mark.parametrize("driver", PLAIN)
def test_xconnect_keeps_pairs_apart_and_flows_in_order(driver: str) -> None:
    with lab(*[driver] * 4) as it_lab, instance(it_lab.config("xconnect", queues=2)) as it:
        one, two, three, four = it_lab.sides
        with one.capture() as at_one, two.capture() as at_two, four.capture() as at_four:
            for round_ in range(ROUNDS):
                flows = [flow_frames(flow, BURST, first=round_ * BURST) for flow in range(FLOWS)]
                frames = [frame for together in zip(*flows, strict=True) for frame in together]
                one.send(frames)
                three.send(frames)
                assert_same(at_two.take(len(frames)), frames)
                assert_same(at_four.take(len(frames)), frames)
            assert at_one.take(0) == []
        assert_devices_agree(it, one, two, three, four)


@pytest.mark.parametrize("driver", PLAIN)
def test_counts_agree_after_load(driver: str) -> None:
    """At full speed from both sides: some packets may be dropped before us, but none uncounted."""
    frames = [frame for flow in range(8) for frame in flow_frames(flow, 1)] * 2_500
    with lab(driver, driver) as it_lab, instance(it_lab.config("xconnect", queues=2)) as it:
        left, right = it_lab.sides
        with ThreadPoolExecutor(2) as senders:
            list(senders.map(lambda side: side.send(frames), (left, right)))
        it.wait(
            lambda now: sum(reached(now, "p0") + reached(now, "p1")) == 2 * len(frames),
            "every packet is received, or dropped before us",
        )
        it.settled()
        for side, other in ((left, right), (right, left)):
            assert offered(side) == sum(reached(it.stats(), side.device)) == len(frames)
            assert other.counters("rx")["packets"] == port_counts(it.stats(), other.device)[1]


@pytest.mark.parametrize("drivers", [("tap", "packet"), ("packet", "tap")])
def test_xconnect_between_drivers_carries_every_frame_unchanged(drivers: tuple[str, str]) -> None:
    frames = of_every_kind(1500)
    with lab(*drivers) as it_lab, instance(it_lab.config("xconnect", queues=2)) as it:
        left, right = it_lab.sides
        with right.capture() as at_right:
            send_and_compare(left, at_right, frames)
        assert_devices_agree(it, left, right)


@pytest.mark.parametrize(("driver", "queues"), [*product(PLAIN, [1, 3]), *product(URING, [1])])
def test_macswap_sends_back_with_addresses_swapped(driver: str, queues: int) -> None:
    frames = of_every_kind(1500)
    with lab(driver) as it_lab, instance(it_lab.config("macswap", queues=queues)) as it:
        (side,) = it_lab.sides
        with side.capture() as capture:
            side.send(frames)
            assert_same(capture.take(len(frames)), [frame[6:12] + frame[:6] + frame[12:] for frame in frames])
        assert_devices_agree(it, side)


@pytest.mark.parametrize("driver", PLAIN)
def test_rxonly_counts_and_drops(driver: str) -> None:
    frames = of_every_kind(1500)
    with lab(driver) as it_lab, instance(it_lab.config("rxonly", queues=2)) as it:
        (side,) = it_lab.sides
        with side.capture() as capture:
            side.send(frames)
            counters = it.settled(received=len(frames)).counters
            assert capture.take(0) == []
        assert counters.rx_packets == counters.drops["rx_only"] == len(frames)
        assert counters.rx_bytes == sum(map(len, frames))
        assert_devices_agree(it, side)


@pytest.mark.parametrize("size", [60, 1514])
@pytest.mark.parametrize("driver", PLAIN)
def test_txonly_makes_what_was_asked_for(driver: str, size: int) -> None:
    flows, rate, looked_at = 16, 2_000, 320
    tables = (
        f'[txonly]\nsize = {size}\nflows = {flows}\nrate = {rate}\ndst_mac = "02:00:00:00:00:77"\n'
        'src_mac = "02:00:00:00:00:66"\ndst_ip = "198.19.0.2"\nsrc_ip = "198.19.0.1"\n'
    )
    with lab(driver) as it_lab:
        (side,) = it_lab.sides
        with instance(it_lab.config("txonly", queues=2, tables=tables)) as it:
            with side.capture() as capture:
                captured = capture.first(looked_at)
            before = it.stats()
            after = it.wait(
                lambda now: now.counters.generated_packets >= before.counters.generated_packets + rate,
                "a second's worth of packets",
            )
            side.send(flow_frames(1, 5))
            it.wait(lambda now: now.counters.drops["rx_only"] == 5, "received packets are dropped")
            final = it.stop()
            counters = final.counters
            arrived = arrived_at(side, final.ports[0])
    assert counters.generated_packets == counters.tx_packets + counters.drops["link_down"]
    assert arrived == counters.tx_packets
    elapsed_s = (after.taken_ns - before.taken_ns) / 1e9
    made = after.counters.generated_packets - before.counters.generated_packets
    # A worker may catch up once after a pause. More than that exceeds the rate.
    assert rate / 10 < made / elapsed_s < rate * 2
    assert len(captured) == looked_at
    seen = set()
    for frame in captured:
        packet = Ether(frame)
        assert len(frame) == size
        assert (packet.dst, packet.src) == ("02:00:00:00:00:77", "02:00:00:00:00:66")
        assert (packet[IP].dst, packet[IP].src) == ("198.19.0.2", "198.19.0.1")
        assert packet[IP].len == size - 14
        assert packet[UDP].len == size - 34
        checksum = packet[IP].chksum
        del packet[IP].chksum
        assert IP(bytes(packet[IP])).chksum == checksum
        seen.add(packet[UDP].sport)
    assert len(seen) == flows


@pytest.mark.parametrize("driver", PLAIN + URING)
def test_txonly_as_fast_as_it_goes_loses_nothing_unnamed(driver: str) -> None:
    with lab(driver) as it_lab:
        (side,) = it_lab.sides
        with instance(it_lab.config("txonly", queues=1)) as it:
            it.wait(lambda now: now.counters.generated_packets >= 20_000, "20,000 packets")
            final = it.stop()
            arrived = arrived_at(side, final.ports[0])
            assert arrived == final.counters.tx_packets
            assert final.counters.tx_packets > 0

# SPDX-License-Identifier: Apache-2.0
"""Mode bridge with every driver: learning, flooding, ageing, hairpins.

    netns            instance, 2 workers            netns
    [p0]============( p0, 2 queues )
                    ( p1, 2 queues )============[p1]
    [p2]============( p2, 1 queue  )

Port p2 has one queue, so worker 1 reaches it through a ring when it floods.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import product

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from tests.netns.checks import assert_devices_agree, port_counts
from tests.netns.frames import assert_same, of_every_kind, padded
from tests.netns.topology import TIMEOUT_S, Capture, Side, lab
from tests.support.drivers import PLAIN, URING, extended
from tests.support.instance import Instance, instance

BROADCAST = "ff:ff:ff:ff:ff:ff"
FLOWS = 12


def station(n: int) -> str:
    return f"02:00:00:00:01:{n:02x}"


def frames(source: str, destination: str, flows: int = FLOWS, each: int = 4) -> list[bytes]:
    """Several flows, so every queue gets some."""
    made = []
    for flow in range(flows):
        headers = IP(src="198.18.0.1", dst=f"198.18.0.{flow + 2}") / UDP(sport=1024 + flow, dport=9)
        made += [
            padded(Ether(src=source, dst=destination) / headers, 100, flow, sequence)
            for sequence in range(each)
        ]
    return made


@contextmanager
def bridge(
    *drivers: str, ageing_s: int = 300, steering: str = "queue"
) -> Iterator[tuple[Instance, list[Side], list[Capture]]]:
    with ExitStack() as stack:
        it_lab = stack.enter_context(lab(*drivers))
        config = it_lab.config(
            "bridge",
            queues=2,
            steering=steering,
            tables=f"[bridge]\nageing_s = {ageing_s}\n",
            port={2: {"queues": 1}},
        )
        it = stack.enter_context(instance(config))
        captures = [stack.enter_context(side.capture()) for side in it_lab.sides]
        yield it, list(it_lab.sides), captures


@pytest.mark.parametrize(
    ("driver", "steering"),
    [*product(PLAIN, ["queue", "flow"]), *product(URING, ["flow"]), extended("turbotap-zerocopy", "flow")],
)
def test_broadcast_reaches_all_others_exactly_once(driver: str, steering: str) -> None:
    with bridge(driver, driver, driver, steering=steering) as (it, sides, captures):
        sent = 0
        for source in range(3):
            made = frames(station(source), BROADCAST)
            sides[source].send(made)
            for other in range(3):
                expected = [] if other == source else made
                assert_same(captures[other].take(len(expected)), expected)
            sent += len(made)
        assert_devices_agree(it, *sides)
        counters = it.stats().counters
        assert (counters.rx_packets, counters.copied_packets, counters.tx_packets) == (sent, sent, 2 * sent)


@pytest.mark.parametrize("driver", PLAIN)
def test_a_flood_carries_every_kind_of_frame_unchanged(driver: str) -> None:
    made = of_every_kind(1500)
    with bridge(driver, driver, driver) as (it, sides, captures):
        # No station has answered yet, so every destination is unknown.
        sides[0].send(made)
        assert_same(captures[1].take(len(made)), made)
        assert_same(captures[2].take(len(made)), made)
        assert captures[0].take(0) == []
        assert_devices_agree(it, *sides)


@pytest.mark.parametrize("steering", ["queue", "flow"])
@pytest.mark.parametrize("driver", PLAIN)
def test_a_learned_address_is_not_flooded(driver: str, steering: str) -> None:
    with bridge(driver, driver, driver, steering=steering) as (it, sides, captures):
        for port in range(3):
            hello = frames(station(port), BROADCAST, flows=1, each=1)
            sides[port].send(hello)
            for other in {0, 1, 2} - {port}:
                assert_same(captures[other].take(1), hello)
        for source in range(3):
            for destination in {0, 1, 2} - {source}:
                made = frames(station(source), station(destination))
                sides[source].send(made)
                assert_same(captures[destination].take(len(made)), made)
                for other in {0, 1, 2} - {destination}:
                    assert captures[other].take(0) == []
        assert_devices_agree(it, *sides)
        assert it.stats().counters.copied_packets == 3  # the three greetings


@pytest.mark.parametrize("driver", PLAIN)
def test_a_station_that_moves_is_followed(driver: str) -> None:
    with bridge(driver, driver, driver) as (_, sides, captures):
        for where in (1, 2, 1):
            hello = frames(station(9), BROADCAST, flows=1, each=1)
            sides[where].send(hello)
            assert_same(captures[0].take(1), hello)
            captures[3 - where].take(1)
            made = frames(station(0), station(9))
            sides[0].send(made)
            assert_same(captures[where].take(len(made)), made)
            assert captures[3 - where].take(0) == []


@pytest.mark.parametrize("driver", PLAIN)
def test_hairpins_are_dropped_by_name(driver: str) -> None:
    with bridge(driver, driver, driver) as (it, sides, captures):
        sides[0].send(frames(station(1), BROADCAST, flows=1, each=1))
        captures[1].take(1)
        captures[2].take(1)
        made = frames(station(2), station(1))
        sides[0].send(made)
        counters = it.settled(received=1 + len(made)).counters
        assert counters.drops["hairpin"] == counters.dropped_packets == len(made)
        assert [capture.take(0) for capture in captures] == [[], [], []]


@pytest.mark.parametrize("driver", PLAIN)
def test_a_silent_address_is_forgotten(driver: str) -> None:
    with bridge(driver, driver, driver, ageing_s=1) as (_, sides, captures):
        sides[1].send(frames(station(1), BROADCAST, flows=1, each=1))
        captures[0].take(1)
        captures[2].take(1)
        made = frames(station(0), station(1), flows=1, each=1)
        deadline = time.monotonic() + TIMEOUT_S
        flooded: list[bytes] = []
        while not flooded and time.monotonic() < deadline:
            sides[0].send(made)
            assert_same(captures[1].take(1), made)
            flooded = captures[2].take(1, timeout_s=0.2)
        assert_same(flooded, made)


@pytest.mark.parametrize("drivers", [("tap", "packet", "tap"), ("packet", "tap", "packet")])
def test_a_bridge_of_different_drivers(drivers: tuple[str, str, str]) -> None:
    with bridge(*drivers) as (it, sides, captures):
        made = of_every_kind(1500)
        sides[0].send(made)
        assert_same(captures[1].take(len(made)), made)
        assert_same(captures[2].take(len(made)), made)
        assert_devices_agree(it, *sides)
        assert port_counts(it.stats(), "p2") == (0, len(made))

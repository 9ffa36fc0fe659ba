# SPDX-License-Identifier: Apache-2.0
"""What the tester sends: the words for it, and its frames as scapy reads them."""

from __future__ import annotations

import struct
from collections import Counter
from typing import Any

import pytest
from pydantic import ValidationError
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1Q, Ether

from forwarder.tester.frames import Template, templates
from forwarder.tester.traffic import Traffic

STAMP = struct.pack("!IIQ", 7, 60, 123_456_789_012)


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"sizes": ""}, '"" is no size'),
        ({"sizes": "60x0"}, '"60x0" is no size'),
        ({"sizes": "sixty"}, '"sixty" is no size'),
        ({"sizes": "60,60"}, "named twice"),
        ({"sizes": "59"}, "size 59: frames of IPv4 with 0 VLAN tags have 60 to 9018 bytes"),
        ({"sizes": "60", "ip": 6}, "size 60: frames of IPv6 with 0 VLAN tags have 78 to 9018 bytes"),
        ({"sizes": "60", "vlans": (1,)}, "with 1 VLAN tags have 64 to"),
        ({"sizes": "9019"}, "60 to 9018"),
        ({"sizes": ",".join(str(size) for size in range(60, 77))}, "17 sizes: at most 16"),
        ({"sizes": "60x4000,61x97"}, "add up to more than 4096"),
        ({"vlans": (0,)}, "greater than or equal to 1"),
        ({"vlans": (4095,)}, "less than or equal to 4094"),
        ({"vlans": (1, 2, 3)}, "at most 2"),
        ({"flows": 0}, "greater than or equal to 1"),
        ({"flows": 2**20 + 1}, "less than or equal to 1048576"),
        ({"directions": 3}, "1 or 2"),
        ({"dst_macs": ("02:00:00:00:00:01",), "directions": 2}, "dst_macs: 1 for 2 directions"),
        ({"dst_macs": ("03:00:00:00:00:01",)}, "03:00:00:00:00:01"),
        ({"flow_order": "shuffled"}, "'incremental' or 'random'"),
        ({"colour": "red"}, "Extra inputs"),
    ],
)
def test_bad_traffic_is_named(keys: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        Traffic(**keys)


def test_a_mix_repeats_in_a_shuffled_order_that_the_seed_decides() -> None:
    mixed = Traffic(sizes="60x7,566x4,1514x1", seed=3)
    assert Counter(mixed.order) == {0: 7, 1: 4, 2: 1}
    assert mixed.order == Traffic(sizes="60x7,566x4,1514x1", seed=3).order
    assert len({Traffic(sizes="60x7,566x4,1514x1", seed=seed).order for seed in range(20)}) > 10
    assert mixed.mean_frame_bytes == (7 * 60 + 4 * 566 + 1514) / 12
    letters = {0: "A", 1: "B", 2: "C"}  # 570 bytes have no letter in RFC 6985
    assert mixed.genome == "".join(letters[index] for index in mixed.order)
    named = Traffic(sizes="60x2,1514x1")
    assert Counter(named.genome or "") == {"a": 2, "g": 1}
    assert Traffic(sizes="60").genome is None


def test_the_profile_says_it_all() -> None:
    profile = Traffic(sizes="78x1,1514x1", ip=6, flows=5, flow_order="random", seed=9, directions=2).profile
    assert (profile.ip, profile.flows, profile.flow_order, profile.seed) == (6, 5, "random", 9)
    assert (profile.mean_frame_bytes, profile.mean_frame_bytes_with_fcs) == (796, 800)
    assert profile.directions == 2


@pytest.mark.parametrize("direction", ["forward", "backward"])
@pytest.mark.parametrize("ip", [4, 6])
@pytest.mark.parametrize("vlans", [(), (100,), (100, 4094)])
@pytest.mark.parametrize("flow", [0, 1, 16_383, 16_384, 2**20 - 1])
def test_a_frame_is_what_scapy_would_build(
    direction: Any, ip: Any, vlans: tuple[int, ...], flow: int
) -> None:
    traffic = Traffic(sizes="102x1,1514x1", ip=ip, vlans=vlans, flows=2**20)
    for template in templates(traffic, direction):
        frame = template.build(flow, STAMP)
        packet: Any = Ether(frame)
        tags = [packet[Dot1Q:nth].vlan for nth in range(1, len(vlans) + 1)]
        assert tags == list(vlans)
        packet[UDP].chksum = None
        if ip == 4:
            packet[IP].chksum = None
        assert bytes(packet) == frame, "the same lengths and checksums"
        network = packet[IP if ip == 4 else IPv6]
        near, far = (network.src, network.dst) if direction == "forward" else (network.dst, network.src)
        host = (flow >> 14) + 1
        assert near == (f"198.18.0.{host}" if ip == 4 else f"2001:2:0:18::{host:x}")
        assert far == ("198.19.0.1" if ip == 4 else "2001:2:0:19::1")
        ports = (packet[UDP].sport, packet[UDP].dport)
        assert (ports if direction == "forward" else ports[::-1]) == (49152 + flow % 16384, 9)
        assert bytes(packet[UDP].payload) == STAMP + bytes(template.frame_bytes - traffic.header_bytes - 16)


def test_a_router_is_sent_to_by_its_own_addresses() -> None:
    traffic = Traffic(directions=2, dst_macs=("02:00:00:00:00:0A", "02:00:00:00:00:0b"))
    assert Template(traffic, "forward", 60).build()[:6] == bytes.fromhex("02000000000a")
    assert Template(traffic, "backward", 60).build()[:6] == bytes.fromhex("02000000000b")
    assert Template(traffic, "backward", 60).build()[6:] == Template(Traffic(), "backward", 60).build()[6:]
    assert traffic.profile.dst_macs == traffic.dst_macs


def test_a_checksum_of_zero_is_sent_as_ones() -> None:
    """UDP reads a zero as "no checksum", and IPv6 allows none."""
    template = Template(Traffic(sizes="78", ip=6), "forward", 78)
    without = int.from_bytes(template.build(0)[60:62], "big")
    stamp = struct.pack(
        "!H14x", without
    )  # adding the complement of the sum makes it ones, whose complement is 0
    assert template.build(0, stamp)[60:62] == b"\xff\xff"

# SPDX-License-Identifier: Apache-2.0
"""Frames to send, made by scapy: flows of many protocols, every size, with and without VLAN tags.

Each frame ends in its flow's number and its own number within the flow (mark). scapy is slow, above all on an
emulated machine, so frames that many tests send are made once.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence
from functools import cache
from typing import Any

from scapy.layers import inet, inet6
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment
from scapy.layers.l2 import ARP, Dot1AD, Dot1Q, Ether
from scapy.packet import Packet, Raw

from tests.support.frames import by_flow

A, B = "02:00:00:00:00:0a", "02:00:00:00:00:0b"


def mark(frame: bytes, flow: int, sequence: int) -> bytes:
    """The frame with its last eight bytes replaced by its flow and its number."""
    return frame[:-8] + struct.pack("!II", flow, sequence)


def padded(packet: Packet, size_bytes: int, flow: int, sequence: int) -> bytes:
    """The packet, padded to `size_bytes` with random payload, and marked."""
    payload = random.Random(flow << 16 | sequence).randbytes(size_bytes - len(packet))
    return bytes(packet / Raw(mark(payload, flow, sequence)))


def _ethernet(forth: bool) -> Packet:
    return Ether(src=A, dst=B) if forth else Ether(src=B, dst=A)


@cache
def flow_packet(flow: int, forth: bool = True) -> Packet:
    """The headers of one flow's packets in either direction; even flows are IPv4, odd ones IPv6."""
    layer: Any = UDP if flow & 2 else TCP
    port = 10_000 + flow
    ports = {"sport": port, "dport": 9} if forth else {"sport": 9, "dport": port}
    network: Any = IPv6 if flow & 1 else IP
    here, there = ("fd00::1", f"fd00::1:{flow:x}") if flow & 1 else ("198.18.0.1", f"198.18.1.{flow}")
    source, destination = (here, there) if forth else (there, here)
    packet: Packet = _ethernet(forth) / network(src=source, dst=destination) / layer(**ports)
    return packet


def flow_frames(
    flow: int, count: int, size_bytes: int = 100, forth: bool = True, first: int = 0
) -> list[bytes]:
    return [_flow_frame(flow, size_bytes, forth, first + number) for number in range(count)]


@cache
def _flow_frame(flow: int, size_bytes: int, forth: bool, number: int) -> bytes:
    return padded(flow_packet(flow, forth), size_bytes, flow, number)


def of_every_kind(mtu: int) -> list[bytes]:
    """Frames of many kinds, from 60 bytes to the MTU. Each kind and size is a flow."""
    return list(_of_every_kind(mtu))


@cache
def _of_every_kind(mtu: int) -> tuple[bytes, ...]:
    udp = Ether(src=A, dst=B) / IP(src="198.18.0.1", dst="198.18.0.2") / UDP(sport=1024, dport=9)
    ip4 = IP(src="198.18.0.1", dst="198.18.0.2") / UDP(sport=1025, dport=9)
    ip6 = IPv6(src="fd00::1", dst="fd00::2") / TCP(sport=1026, dport=9)
    full = mtu + 14
    sizes = {60, 61, 63, 64, 65, 127, 128, 129, 255, 511, 594, 1024, 1513, 1514, mtu // 2, full - 1, full}
    kinds = [(udp, size) for size in sorted(sizes) if size <= full]
    kinds += [
        (Ether(src=A, dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, psrc="198.18.0.1", pdst="198.18.0.2"), 60),
        (Ether(src=A, dst="33:33:00:00:00:01") / ip6, 200),
        (Ether(src=A, dst="01:80:c2:00:00:0e", type=0x88CC), 60),
        (Ether(src=A, dst=B, type=0x88B5), full),
        (Ether(src=A, dst=B) / IP(src="198.18.0.1", dst="198.18.0.2") / ICMP(id=1), 98),
        (Ether(src=A, dst=B) / ip6, full),
        (Ether(src=A, dst=B) / Dot1Q(vlan=5, prio=3) / ip4, 64),
        (Ether(src=A, dst=B) / Dot1Q(vlan=4095, prio=7, dei=1) / ip6, 300),
        (Ether(src=A, dst=B) / Dot1Q(vlan=0) / ip4, full + 4),
        (Ether(src=A, dst=B) / Dot1AD(vlan=100) / Dot1Q(vlan=5) / ip4, 68),
        (Ether(src=A, dst=B) / Dot1AD(vlan=101, prio=2) / Dot1Q(vlan=6) / ip6, full),
        (Ether(src=A, dst=B) / Dot1Q(vlan=7) / Dot1Q(vlan=8) / ip4, 200),
    ]
    return tuple(
        padded(packet, size, flow, sequence)
        for flow, (packet, size) in enumerate(kinds)
        for sequence in range(3)
    )


def fragments(flow: int, forth: bool = True) -> list[bytes]:
    """A datagram of 3,000 bytes in fragments."""
    split4: Any = inet.fragment  # scapy leaves these untyped
    split6: Any = inet6.fragment6
    payload = random.Random(flow).randbytes(3000)
    one, other = (
        (f"198.18.2.{flow & 0xFF}", "198.18.0.1") if forth else ("198.18.0.1", f"198.18.2.{flow & 0xFF}")
    )
    if flow & 1:
        one, other = ("fd00::1", f"fd00::2:{flow:x}") if forth else (f"fd00::2:{flow:x}", "fd00::1")
        whole = (
            IPv6(src=one, dst=other) / IPv6ExtHdrFragment(id=flow) / UDP(sport=flow, dport=9) / Raw(payload)
        )
        parts = split6(whole, 1280)
    else:
        parts = split4(IP(src=one, dst=other, id=flow) / UDP(sport=flow, dport=9) / Raw(payload), 1200)
    return [mark(bytes(_ethernet(forth) / part), flow, number) for number, part in enumerate(parts)]


def _flow(frame: bytes) -> int:
    return int(struct.unpack("!I", frame[-8:-4])[0])


def assert_same(got: Sequence[bytes], sent: Sequence[bytes]) -> None:
    """Assert that both have the same frames byte by byte, each flow in order. Flows may interleave."""
    got_flows, sent_flows = by_flow(got, _flow), by_flow(sent, _flow)
    counts = {flow: len(frames) for flow, frames in got_flows.items()}
    assert counts == {flow: len(frames) for flow, frames in sent_flows.items()}
    for flow, frames in sent_flows.items():
        numbers = [struct.unpack("!I", frame[-4:])[0] for frame in got_flows[flow]]
        assert numbers == [struct.unpack("!I", frame[-4:])[0] for frame in frames], f"order of flow {flow}"
        for one, other in zip(got_flows[flow], frames, strict=True):
            assert one.hex() == other.hex(), f"flow {flow}"

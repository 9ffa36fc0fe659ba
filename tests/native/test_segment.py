# SPDX-License-Identifier: Apache-2.0
"""Segmentation in software: the packets equal scapy's byte by byte, and all accesses stay within bounds."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP, IPOption_NOP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrHopByHop, IPv6ExtHdrRouting
from scapy.layers.l2 import Dot1AD, Dot1Q, Ether
from scapy.layers.sctp import SCTP, SCTPChunkData
from scapy.packet import Packet, Raw

from tests.native.ext import ffi, lib
from tests.native.harness import exact
from tests.support.offloads import (
    CWR,
    GOOD,
    GSO_ECN,
    GSO_TCPV4,
    GSO_TCPV6,
    MALFORMED,
    VNET_HDR_BYTES,
    gso_frame,
    segmented,
    vnet_header,
)

ETHER = Ether(dst="02:00:00:00:00:02", src="02:00:00:00:00:01")
TAGS = {
    "plain": [],
    "tagged": [Dot1Q(vlan=5, prio=3)],
    "twice": [Dot1AD(vlan=100), Dot1Q(vlan=5)],
}
NETWORKS: dict[str, Any] = {
    "ipv4": IP(src="10.0.0.1", dst="10.0.0.2", id=65534),
    "ipv4-options": IP(src="10.0.0.1", dst="10.0.0.2", flags="DF", options=[IPOption_NOP()] * 8),
    "ipv6": IPv6(src="fd00::1", dst="fd00::2"),
    "ipv6-extensions": IPv6(src="fd00::1", dst="fd00::2")
    / IPv6ExtHdrHopByHop()
    / IPv6ExtHdrRouting(addresses=["fd00::9"], segleft=1)
    / IPv6ExtHdrDestOpt(),
}
TRANSPORTS = {
    "tcp": TCP(sport=1, dport=2, seq=0xFFFFFF00, ack=7, flags="FPA"),
    "tcp-options": TCP(sport=1, dport=2, flags="PAEC", options=[("Timestamp", (1, 2)), ("NOP", None)] * 2),
    "udp": UDP(sport=1, dport=2),
}


def packet_of(tags: str, network: str, transport: str, payload: bytes) -> Packet:
    made: Packet = ETHER.copy()
    for layer in (*TAGS[tags], NETWORKS[network], TRANSPORTS[transport], Raw(payload)):
        made = made / layer.copy()
    return made


def parse(frame: bytes, header: bytes) -> tuple[int, Any, Any]:
    """The result of parsing the offload header, the request, and the memory with the frame."""
    memory, request = exact(header + frame), ffi.new("struct offload_request *")
    return lib.ttf_vnet_hdr_parse(memory + VNET_HDR_BYTES, len(frame), request), request, memory


def segmented_by_us(frame: bytes, header: bytes) -> list[bytes]:
    result, request, memory = parse(frame, header)
    assert result == 0
    made = []
    for index in range(lib.ttf_gso_packets(request, len(frame))):
        packet = exact(bytes(len(frame)))
        size = lib.ttf_gso_packet(request, memory + VNET_HDR_BYTES, len(frame), index, packet)
        made.append(bytes(ffi.buffer(packet, size)))
    assert bytes(ffi.buffer(memory)) == header + frame, "the GSO frame itself is only read"
    return made


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("tags", TAGS)
def test_what_is_cut_is_what_scapy_makes(tags: str, network: str, transport: str) -> None:
    packet = packet_of(tags, network, transport, bytes(range(256)) * 20)
    assert segmented_by_us(*gso_frame(packet, 1400)) == segmented(packet, 1400)


@given(
    tags=st.sampled_from(sorted(TAGS)),
    network=st.sampled_from(sorted(NETWORKS)),
    transport=st.sampled_from(sorted(TRANSPORTS)),
    payload=st.binary(max_size=3000),
    gso_size=st.integers(1, 65535),
    seq=st.integers(0, 2**32 - 1),
    ident=st.integers(0, 65535),
)
def test_of_any_size(
    tags: str, network: str, transport: str, payload: bytes, gso_size: int, seq: int, ident: int
) -> None:
    packet = packet_of(tags, network, transport, payload)
    if TCP in packet:
        packet[TCP].seq = seq
    if IP in packet:
        packet[IP].id = ident
    gso_size = max(gso_size, len(payload) // 40)  # scapy is slow
    assert segmented_by_us(*gso_frame(packet, gso_size)) == segmented(packet, gso_size)


def test_the_largest_segment() -> None:
    packet = packet_of("twice", "ipv4", "tcp", bytes(65535 - 40))
    assert segmented_by_us(*gso_frame(packet, 1460)) == segmented(packet, 1460)


def test_congestion_is_told_once() -> None:
    packet = packet_of("plain", "ipv4", "tcp-options", bytes(3000))
    frame, header = gso_frame(packet, 1000)
    assert header[1] == GSO_TCPV4 | GSO_ECN
    flags = [Ether(one)[TCP].flags for one in segmented_by_us(frame, header)]
    assert [bool(int(each) & CWR) for each in flags] == [True, False, False]


# ------------------------------------------------------------------------------------------- malformed


def test_the_header_that_the_malformed_ones_differ_from_is_good() -> None:
    assert parse(*GOOD)[0] == 0


@pytest.mark.parametrize("what", MALFORMED)
def test_a_header_that_makes_no_sense_is_refused(what: str) -> None:
    assert parse(GOOD[0], MALFORMED[what])[0] == -1


@pytest.mark.parametrize(("at", "value"), [(12, b"\x86\xdd"), (14, b"\x65"), (14, b"\x46"), (46, b"\x40")])
def test_a_frame_that_its_header_does_not_fit_is_refused(at: int, value: bytes) -> None:
    """A wrong EtherType, IP version or IP header length, or a TCP header that is too short."""
    frame, header = GOOD
    assert parse(frame[:at] + value + frame[at + len(value) :], header)[0] == -1


TUNNELS: dict[str, Any] = {
    "udp": UDP(sport=5000, dport=4789) / Raw(b"\x08\0\0\0\0\0\x07\0") / ETHER,
    "ip": Raw(b""),
}


@pytest.mark.parametrize("tunnel", TUNNELS)
@pytest.mark.parametrize("outer", ["ipv4", "ipv6", "ipv6-extensions"])
@pytest.mark.parametrize("inner", ["ipv4", "ipv6"])
def test_a_segment_within_another_packet_is_refused(tunnel: str, outer: str, inner: str) -> None:
    """Its packets would need new outer headers, and a device would misread its offload header."""
    inside = packet_of("plain", inner, "tcp", bytes(5000))
    frame, header = gso_frame(inside, 1400)
    packed = inside[IP if inner == "ipv4" else IPv6] if tunnel == "ip" else inside
    around = bytes(ETHER / NETWORKS[outer] / TUNNELS[tunnel])[: None if tunnel == "ip" else -14]
    whole = around + frame[len(frame) - len(bytes(packed)) :]
    moved = len(whole) - len(frame)
    start = int.from_bytes(header[6:8], sys.byteorder) + moved
    again = vnet_header(1, header[1], header[2] + moved, 1400, start, 16)
    assert whole[start : start + 4] == bytes.fromhex("00010002"), "the inner TCP header"
    for gso_type in (GSO_TCPV4, GSO_TCPV6):
        assert parse(whole, again[:1] + bytes([gso_type]) + again[2:])[0] == -1


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("tags", TAGS)
def test_the_checksum_of_sctp_is_its_own(tags: str, network: str) -> None:
    packet: Packet = ETHER.copy()
    for layer in (*TAGS[tags], NETWORKS[network], SCTP(sport=1, dport=2, tag=3) / SCTPChunkData(data=b"odd")):
        packet = packet / layer.copy()
    done = bytes(packet)
    start = len(done) - len(bytes(packet[SCTP]))
    undone = done[: start + 8] + b"left" + done[start + 12 :]
    result, request, memory = parse(undone, vnet_header(flags=1, start=start, offset=8))
    assert result == 0
    lib.ttf_vnet_hdr_complete(request, memory + VNET_HDR_BYTES, len(undone))
    assert bytes(ffi.buffer(memory))[VNET_HDR_BYTES:].hex() == done.hex()


@settings(max_examples=200)  # the sanitized run has fewer of the other tests' examples
@given(
    frame=st.builds(lambda head, tail: GOOD[0][:head] + tail, st.integers(14, 80), st.binary(max_size=200)),
    gso_type=st.sampled_from([0, 1, 3, 4, 5, 0x81, 0x84, 0x85]),
    gso_size=st.integers(0, 100),
    start=st.one_of(st.integers(0, 100), st.integers(0, 65535)),
    offset=st.sampled_from([6, 8, 16, 0, 65535]),
    hdr_len=st.integers(0, 300),
)
def test_nonsense_is_read_and_written_within_bounds(
    frame: bytes, gso_type: int, gso_size: int, start: int, offset: int, hdr_len: int
) -> None:
    """A sanitizer finds accesses out of bounds. Without one: the packets have the GSO frame's payload."""
    header = vnet_header(1, gso_type, hdr_len, gso_size, start, offset)
    result, request, memory = parse(frame, header)
    if result < 0:
        return
    lib.ttf_vnet_hdr_oversize(request, memory + VNET_HDR_BYTES, len(frame), 0)
    if gso_type:
        made = segmented_by_us(frame, header)
        headers = int(request.headers)
        assert b"".join(one[headers:] for one in made) == frame[headers:]
    else:
        lib.ttf_vnet_hdr_complete(request, memory + VNET_HDR_BYTES, len(frame))


# ------------------------------------------------------------------------------------------------- MTU


@pytest.mark.parametrize("tags", TAGS)
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_the_mtu_counts_a_packet_of_the_segment(tags: str, transport: str) -> None:
    packet = packet_of(tags, "ipv6", transport, bytes(30_000))
    frame, header = gso_frame(packet, 1400)
    longest = max(len(one) for one in segmented(packet, 1400)) - 14 - 4 * len(TAGS[tags])
    _, request, memory = parse(frame, header)
    assert not lib.ttf_vnet_hdr_oversize(request, memory + VNET_HDR_BYTES, len(frame), longest)
    assert lib.ttf_vnet_hdr_oversize(request, memory + VNET_HDR_BYTES, len(frame), longest - 1)

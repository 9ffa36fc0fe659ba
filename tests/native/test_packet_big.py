# SPDX-License-Identifier: Apache-2.0
"""BIG TCP: what GSO frames of more than 64 KiB are split into stands for the same packets, byte by byte."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1AD, Dot1Q, Ether
from scapy.packet import Packet, Raw

from tests.native.ext import ffi, lib
from tests.native.harness import FRAME_MAX_BYTES, exact
from tests.native.test_segment import packet_of, segmented_by_us
from tests.support.offloads import (
    CWR,
    NEEDS_CSUM,
    VNET_HDR_BYTES,
    big_frame,
    segmented,
    vnet_header,
)

PART_MAX_BYTES = 65535
GSO_SIZE = 8948  # as few packets as can be: scapy is slow
TRUNCATED = 2**32 - 1


def parts(frame: bytes, header: bytes, *, offload: int = 1) -> Iterator[tuple[bytes, bytes]]:
    """The frames that it is split into, and their offload headers."""
    big = ffi.new("struct packet_big *")
    assert lib.ttf_packet_big_init(big) == 0
    try:
        eth = lib.ttf_packet_big_eth(big)
        whole = header + frame
        ffi.memmove(eth - VNET_HDR_BYTES, whole, len(whole))
        lib.ttf_packet_big_split(big, {"eth": eth, "length": len(frame), "offload": offload})
        while lib.packet_big_waits(big):
            memory = exact(bytes(VNET_HDR_BYTES + FRAME_MAX_BYTES))
            part = ffi.new("struct ttf_frame *", {"eth": memory + VNET_HDR_BYTES})
            lib.ttf_packet_big_take(big, part)
            if part.length == TRUNCATED:
                yield b"", b""
                continue
            got = bytes(ffi.buffer(memory, VNET_HDR_BYTES + part.length))
            yield got[VNET_HDR_BYTES:], got[:VNET_HDR_BYTES]
    finally:
        lib.ttf_packet_big_exit(big)


def packets_of(frame: bytes, header: bytes) -> list[bytes]:
    """The packets that a part stands for. The last part may be a packet without its checksum."""
    if header[1]:
        return segmented_by_us(frame, header)
    memory, request = exact(header + frame), ffi.new("struct offload_request *")
    assert lib.ttf_vnet_hdr_parse(memory + VNET_HDR_BYTES, len(frame), request) == 0
    lib.ttf_vnet_hdr_complete(request, memory + VNET_HDR_BYTES, len(frame))
    return [bytes(ffi.buffer(memory))[VNET_HDR_BYTES:]]


def length_said(frame: Packet) -> int:
    """The frame's length by its IP header."""
    network: Any = frame[IP] if IP in frame else frame[IPv6]
    front = len(frame) - len(network)
    return int(front + (network.len if IP in frame else network.plen + 40))


def check_parts(packet: Packet, jumbo: bool) -> None:
    got = list(parts(*big_frame(packet, GSO_SIZE, jumbo=jumbo)))
    assert [one for part in got for one in packets_of(*part)] == segmented(packet, GSO_SIZE)
    for frame, header in got:
        assert len(frame) <= PART_MAX_BYTES
        assert length_said(Ether(frame)) == len(frame)
        assert header[0] == NEEDS_CSUM
    of_each_part = PART_MAX_BYTES // GSO_SIZE * GSO_SIZE
    assert len(got) == -(-len(packet[TCP].payload) // of_each_part), "as few as can be"


@pytest.mark.parametrize("payload", [65536, GSO_SIZE * 8, 150_000])
@pytest.mark.parametrize("transport", ["tcp", "tcp-options"])
@pytest.mark.parametrize(
    ("network", "jumbo"), [("ipv4", False), ("ipv4-options", False), ("ipv6", False), ("ipv6", True)]
)
@pytest.mark.parametrize("tags", ["plain", "twice"])
def test_the_parts_stand_for_the_packets_of_the_whole(
    tags: str, network: str, jumbo: bool, transport: str, payload: int
) -> None:
    check_parts(packet_of(tags, network, transport, os.urandom(payload)), jumbo)


def test_the_longest_that_a_kernel_makes() -> None:
    packet = packet_of("twice", "ipv6", "tcp-options", b"")
    headers = len(packet) - 22
    check_parts(packet_of("twice", "ipv6", "tcp-options", os.urandom(8 * 65535 - headers - 8)), jumbo=True)


def test_congestion_is_told_by_the_first_part_alone() -> None:
    packet = packet_of("plain", "ipv6", "tcp-options", bytes(200_000))
    assert int(packet[TCP].flags) & CWR
    types = [header[1] & 0x80 for _, header in parts(*big_frame(packet, 1000))]
    assert types == [0x80, 0, 0, 0]


def tagged_plain_frame(length: int) -> bytes:
    front = bytes(Ether(dst="02:00:00:00:00:02", src="02:00:00:00:00:01") / Dot1AD() / Dot1Q() / Raw(b"x"))
    return (front + bytes(range(256)) * 300)[:length]


@pytest.mark.parametrize("length", [60, 65536, FRAME_MAX_BYTES])
def test_a_frame_that_needs_no_splitting_stays_as_it_is(length: int) -> None:
    frame, header = tagged_plain_frame(length), vnet_header(flags=2)
    assert list(parts(frame, header, offload=0)) == [(frame, header)]


def test_a_frame_that_the_length_fields_can_express_stays_whole() -> None:
    packet = packet_of("twice", "ipv4", "tcp", bytes(65535 - 40))
    frame, header = big_frame(packet, 1460)
    assert len(frame) == 65535 + 22
    assert list(parts(frame, header)) == [(frame, header)]


@pytest.mark.parametrize(
    "header",
    [
        vnet_header(),
        vnet_header(flags=1, start=34, offset=16),
        vnet_header(flags=1, gso_type=1, hdr_len=54, gso_size=1448, start=30, offset=16),
        vnet_header(flags=1, gso_type=5, hdr_len=54, gso_size=1448, start=34, offset=6),
        vnet_header(flags=1, gso_type=1, hdr_len=54, gso_size=65535, start=34, offset=16),
    ],
    ids=["plain", "checksum", "malformed", "udp", "packets as long"],
)
def test_any_other_frame_as_long_is_dropped(header: bytes) -> None:
    frame, _ = big_frame(packet_of("plain", "ipv4", "tcp", bytes(100_000)), 1448)
    assert list(parts(frame, header)) == [(b"", b"")]

# SPDX-License-Identifier: Apache-2.0
"""Frames with an offload header in a worker's loop: forwarded unchanged, completed, or dropped by name."""

from __future__ import annotations

import errno

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

from tests.native.conftest import MakeHarness
from tests.native.ext import lib
from tests.native.harness import DRIVERS, EVERY_OFFLOAD, MMSG, NO_OFFLOAD, RW, URING, drain, frame
from tests.support.offloads import (
    GOOD,
    MALFORMED,
    VNET_HDR_BYTES,
    gso_frame,
    left_to_the_device,
    segmented,
    vnet_header,
)


def tcp_packet(payload: bytes = b"odd") -> Packet:
    return (
        Ether(dst="02:00:00:00:00:02", src="02:00:00:00:00:01")
        / IP(src="10.0.0.1", dst="10.0.0.2")
        / TCP(sport=1234, dport=80)
        / Raw(payload)
    )


def test_checksum_is_done_for_a_port_without_offload(harness: MakeHarness) -> None:
    made = harness()
    left = made.connect(0, peer=1, header_bytes=VNET_HDR_BYTES)
    right = made.connect(1, peer=0)
    undone, header, done = left_to_the_device(tcp_packet())
    assert undone != done
    left.send(0, undone, header=header)
    made.settle()
    assert right.receive(0) == [done]


def test_checksum_is_left_to_a_port_with_offload(harness: MakeHarness) -> None:
    made = harness()
    left, right = made.pair(header_bytes=VNET_HDR_BYTES)
    undone, header, _done = left_to_the_device(tcp_packet())
    left.send(0, undone, header=header)
    made.settle()
    assert drain(right.outside[0]) == [header + undone]


@pytest.mark.parametrize("driver", [MMSG, RW, URING], ids=["mmsg", "rw", "uring"])
def test_no_offload_is_asked_for_frames_of_a_port_without(harness: MakeHarness, driver: int) -> None:
    """A frame's memory still holds the offload header of its previous use."""
    made = harness(frames=1, batch=1)
    left = made.connect(0, peer=1, header_bytes=VNET_HDR_BYTES)
    right = made.connect(1, peer=0, driver=driver)
    segment = vnet_header(flags=1, gso_type=1, hdr_len=54, gso_size=1448, start=34, offset=16)
    for n in range(4):
        left.send(0, frame(n), header=segment)
        made.settle()
        right.send(0, frame(100 + n))
        made.settle()
        assert drain(left.outside[0]) == [NO_OFFLOAD + frame(100 + n)]
    assert made.all_drops() == {"offload": 4}


def test_segment_crosses_a_pair_with_offload_whatever_its_size(harness: MakeHarness) -> None:
    made = harness()
    left, right = made.pair(header_bytes=VNET_HDR_BYTES, mtu=1500)
    frame_bytes, header = gso_frame(tcp_packet(bytes(65_000)), 1460)
    left.send(0, frame_bytes, header=header)
    made.settle()
    assert drain(right.outside[0]) == [header + frame_bytes]
    assert made.total(1, "tx_bytes") == len(frame_bytes)


# Ports without segmentation: no offload header, no offloads, or checksums only.
LACKING = pytest.mark.parametrize(
    ("header_bytes", "offloads"),
    [
        pytest.param(0, 0, id="no-header"),
        pytest.param(VNET_HDR_BYTES, 0, id="nothing"),
        pytest.param(VNET_HDR_BYTES, lib.TTF_OFFLOAD_CSUM, id="checksums"),
    ],
)


@LACKING
@pytest.mark.parametrize("driver", [MMSG, RW, URING], ids=["mmsg", "rw", "uring"])
def test_segment_is_cut_for_a_port_that_does_not_take_it(
    harness: MakeHarness, driver: int, header_bytes: int, offloads: int
) -> None:
    made = harness(batch=16)
    left = made.connect(0, peer=1, header_bytes=VNET_HDR_BYTES)
    right = made.connect(1, peer=0, driver=driver, header_bytes=header_bytes, offloads=offloads)
    packet = tcp_packet(bytes(range(256)) * 200)
    wanted = segmented(packet, 1460)
    before, after = frame(1), frame(2)
    left.send(0, before)
    left.send(0, gso_frame(packet, 1460)[0], header=gso_frame(packet, 1460)[1])
    left.send(0, after)
    made.settle()
    assert right.receive(0) == [before, *wanted, after]
    assert made.total(0, "rx_packets") == 3
    assert made.total(1, "tx_packets") == 2 + len(wanted)
    assert int(made.worker_stats().orphans.copied_packets) == len(wanted) - 1
    assert made.all_drops() == {}
    if driver == MMSG:
        assert made.total(1, "tx_calls") == -(-(2 + len(wanted)) // 16), "in bursts"


def test_a_segment_of_which_each_feature_is_asked_for(harness: MakeHarness) -> None:
    """A port that supports TCP over IPv4 gets such GSO frames whole. Others are segmented into packets."""
    made = harness()
    left = made.connect(0, peer=1, header_bytes=VNET_HDR_BYTES)
    takes = lib.TTF_OFFLOAD_CSUM | lib.TTF_OFFLOAD_TSO4
    right = made.connect(1, peer=0, header_bytes=VNET_HDR_BYTES, offloads=takes)
    ether, payload = Ether(dst="02:00:00:00:00:02", src="02:00:00:00:00:01"), Raw(bytes(3000))
    ip4, ip6 = IP(src="10.0.0.1", dst="10.0.0.2"), IPv6(src="fd00::1", dst="fd00::2")
    tcp, congested, udp = TCP(flags="PA"), TCP(flags="PAC"), UDP()
    whole, header = gso_frame(ether / ip4 / tcp / payload, 1400)
    left.send(0, whole, header=header)
    made.settle()
    assert drain(right.outside[0]) == [header + whole]
    for network, transport in ((ip6, tcp), (ip4, congested), (ip4, udp), (ip6, udp)):
        packet = ether / network / transport / payload
        whole, header = gso_frame(packet, 1400)
        left.send(0, whole, header=header)
        made.settle()
        assert right.receive(0) == segmented(packet, 1400)


def test_a_segment_is_cut_with_whatever_frames_are_free(harness: MakeHarness) -> None:
    made = harness(frames=3, batch=2)
    left = made.connect(0, peer=1, header_bytes=VNET_HDR_BYTES)
    right = made.connect(1, peer=0)
    packet = tcp_packet(bytes(10_000))
    whole, header = gso_frame(packet, 1000)
    left.send(0, whole, header=header)
    made.settle()
    assert right.receive(0) == segmented(packet, 1000)


def test_a_segment_without_a_free_frame_is_dropped_by_name(harness: MakeHarness) -> None:
    made = harness(frames=1, batch=1)
    left = made.connect(0, peer=1, header_bytes=VNET_HDR_BYTES)
    right = made.connect(1, peer=0)
    whole, header = gso_frame(tcp_packet(bytes(10_000)), 1000)
    left.send(0, whole, header=header)
    left.send(0, frame(1))
    made.settle()
    assert right.receive(0) == [frame(1)]
    assert made.drops(1) == {"no_frame": 10}


@DRIVERS
def test_a_segment_whose_packets_are_too_long_is_dropped_by_name(
    harness: MakeHarness, driver: int, header_bytes: int
) -> None:
    made = harness()
    left = made.connect(0, peer=1, header_bytes=VNET_HDR_BYTES, mtu=9000)
    right = made.connect(1, peer=0, driver=driver, header_bytes=header_bytes, mtu=1500)
    fits, too_long = gso_frame(tcp_packet(bytes(20_000)), 1460), gso_frame(tcp_packet(bytes(20_000)), 1461)
    left.send(0, too_long[0], header=too_long[1])
    left.send(0, fits[0], header=fits[1])
    made.settle()
    assert len(drain(right.outside[0])) == (1 if header_bytes else 14)
    assert made.all_drops() == {"oversize": 1}
    assert made.drops(1) == {"oversize": 1}


@pytest.mark.parametrize("mode", ["xconnect", "bridge", "macswap", "rxonly"])
@pytest.mark.parametrize("what", MALFORMED)
def test_a_header_that_makes_no_sense_is_dropped_by_name(harness: MakeHarness, what: str, mode: str) -> None:
    made = harness(mode=mode)
    left, right = made.pair(header_bytes=VNET_HDR_BYTES)
    left.send(0, GOOD[0], header=MALFORMED[what])
    made.settle()
    assert drain(left.outside[0]) == drain(right.outside[0]) == []
    assert made.drops(0) == {"offload": 1}


# ------------------------------------------------------------------------------------- several workers


def test_offload_header_crosses_a_ring(harness: MakeHarness) -> None:
    made = harness(2)
    left = made.connect(0, peer=1, header_bytes=VNET_HDR_BYTES)
    right = made.connect(1, peer=0, queues=1, header_bytes=VNET_HDR_BYTES)
    segment, header = GOOD
    left.send(1, segment, header=header)
    made.settle()
    assert right.outside[0].recv(1 << 17) == header + segment


def test_a_segment_of_another_worker_is_cut(harness: MakeHarness) -> None:
    made = harness(2)
    left = made.connect(0, peer=1, header_bytes=VNET_HDR_BYTES)
    right = made.connect(1, peer=0, queues=1)
    packet = Ether() / IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=1, dport=9) / Raw(bytes(5000))
    whole, header = gso_frame(packet, 1200)
    left.send(1, whole, header=header)
    made.settle()
    assert right.receive(0) == segmented(packet, 1200)


def test_a_flooded_segment_is_cut_where_it_must(harness: MakeHarness) -> None:
    """One frame in memory leaves whole by one port, and segmented into packets by two others."""
    made = harness(2, mode="bridge")
    source = made.connect(0, header_bytes=VNET_HDR_BYTES)
    cutting = [made.connect(1), made.connect(2, queues=1)]
    whole_port = made.connect(3, header_bytes=VNET_HDR_BYTES)
    packet = (
        Ether(dst="ff:ff:ff:ff:ff:ff", src="02:00:00:00:00:01")
        / IP(src="10.0.0.1", dst="10.0.0.2")
        / UDP(sport=1, dport=9)
        / Raw(bytes(5000))
    )
    whole, header = gso_frame(packet, 1200)
    source.send(1, whole, header=header)
    made.settle()
    assert [port.receive_all() for port in cutting] == [segmented(packet, 1200)] * 2
    assert whole_port.outside[1].recv(1 << 17) == header + whole


def test_flooded_checksum_is_completed_where_it_must(harness: MakeHarness) -> None:
    """One frame in memory leaves by ports with and without an offload header."""
    made = harness(2, mode="bridge")
    source = made.connect(0, header_bytes=VNET_HDR_BYTES)
    bare = [made.connect(slot) for slot in (1, 2)]
    with_header = made.connect(3, header_bytes=VNET_HDR_BYTES)
    data = bytearray(frame(1, dst=b"\xff" * 6))
    header = vnet_header(flags=1, start=20, offset=6)
    source.send(0, bytes(data), header=header)
    made.settle()
    first, second = (port.receive(0)[0] for port in bare)
    assert first == second
    assert first[:26] == data[:26]
    assert first[28:] == data[28:]
    words = [int.from_bytes(first[i : i + 2], "little") for i in range(20, 60, 2)]
    total = sum(words) - int.from_bytes(first[26:28], "little") + int.from_bytes(data[26:28], "little")
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    assert int.from_bytes(first[26:28], "little") == 0xFFFF ^ total
    raw = with_header.outside[0].recv(4096)
    assert raw in (bytes(10) + first, header + bytes(data))


def test_a_port_that_segments_no_more_gets_packets_and_then_whole_frames_again(harness: MakeHarness) -> None:
    made = harness()
    left, right = made.pair(header_bytes=VNET_HDR_BYTES)
    packet = tcp_packet(bytes(5000))
    whole, header = gso_frame(packet, 1460)
    for offloads, wanted in (
        (lib.TTF_OFFLOAD_CSUM, [NO_OFFLOAD + each for each in segmented(packet, 1460)]),
        (EVERY_OFFLOAD, [header + whole]),
    ):
        made.update(1, mtu=1500, offloads=offloads)
        left.send(0, whole, header=header)
        made.settle()
        assert drain(right.outside[0]) == wanted
    assert made.all_drops() == {}


def test_a_port_without_a_header_never_takes_an_offload(harness: MakeHarness) -> None:
    made = harness()
    made.connect(0)
    worker = made.live[0]
    assert lib.ttf_worker_update_port(worker, 0, 1500, lib.TTF_OFFLOAD_CSUM) == -errno.EINVAL
    assert lib.ttf_worker_update_port(worker, 1, 1500, 0) == -errno.ENOENT
    assert lib.ttf_worker_update_port(worker, lib.TTF_MAX_PORTS, 1500, 0) == -errno.ENOENT


def test_the_mtu_of_a_running_port_is_raised_and_lowered(harness: MakeHarness) -> None:
    made = harness(workers=2)
    left, right = made.pair()
    long = frame(1, 9014)
    for mtu, passes in ((9000, True), (1500, False), (9000, True)):
        made.update(1, mtu=mtu, offloads=0)
        left.send(1, long)
        made.settle()
        assert right.receive_all() == [long] * passes
    assert made.all_drops() == {"oversize": 1}

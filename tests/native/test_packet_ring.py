# SPDX-License-Identifier: Apache-2.0
"""Driver packet on a real device: its receive ring, also after its reader was killed.

netns        instance                    test
[far]====( packet 0, socket 1 )====[AF_UNIX socket]
"""

from __future__ import annotations

import errno
import mmap
import os
import random
import select
import socket
import struct

import pytest

from forwarder.devices import packet_sockets
from tests.native.conftest import MakeHarness
from tests.native.ext import ffi, lib
from tests.native.far import Far, packet_pair
from tests.native.harness import MS, Harness, SocketPort, drain, frame
from tests.native.test_segment import packet_of
from tests.support.offloads import (
    GSO_TCPV4,
    NEEDS_CSUM,
    VNET_HDR_BYTES,
    big_frame,
    payload_of,
    vnet_header,
)
from tests.support.tap import inexpressible_frame, tap
from tests.support.wait import wait_until

SLOTS, SLOT_BYTES = int(lib.TTF_PACKET_SLOTS), int(lib.TTF_PACKET_SLOT_BYTES)
BATCH = 64
LONG_BYTES = 4000  # longer than a slot
SHORT_BYTES = 1514
CURSOR_AT = 64
MARK_AT = 28  # struct tpacket2_hdr, tp_padding
FIELDS = {"status": (0, "I"), "len": (4, "I"), "snaplen": (8, "I"), "mac": (12, "H"), "tci": (24, "H")}
KERNEL, USER, COPY = 0, 1, 2  # linux/if_packet.h


@pytest.fixture
def made(harness: MakeHarness, far: Far) -> Harness:
    return packet_pair(harness, far, BATCH)


def crossed(made: Harness) -> list[bytes]:
    """The forwarded frames, without offload headers, until no more come."""
    got: list[bytes] = []
    while True:
        made.settle()
        frames = made.ports[1].receive(0)
        if not frames:
            return got
        got += frames


def mixed(first: int, count: int) -> list[bytes]:
    """Frames that fit their slots and frames that don't, alternating and in runs."""
    sizes = (60, SHORT_BYTES, LONG_BYTES, LONG_BYTES, 9014, 60, 1000)
    return [frame(n, sizes[n % len(sizes)]) for n in range(first, first + count)]


class Ring:
    """The ring as its reader sees it, mapped by the test."""

    def __init__(self, port: SocketPort) -> None:
        self.map = mmap.mmap(port.inside[0].fileno(), SLOTS * SLOT_BYTES)

    def spoil(self, slot: int, field: str, value: int) -> None:
        at, kind = FIELDS[field]
        struct.pack_into(kind, self.map, slot * SLOT_BYTES + at, value % 256 ** struct.calcsize(kind))

    def status(self, slot: int) -> int:
        return int(struct.unpack_from("I", self.map, slot * SLOT_BYTES)[0])

    @property
    def cursor(self) -> int:
        return int(struct.unpack_from("I", self.map, CURSOR_AT)[0])

    @cursor.setter
    def cursor(self, value: int) -> None:
        struct.pack_into("I", self.map, CURSOR_AT, value % SLOTS)

    @property
    def releasing(self) -> int:
        return int(struct.unpack_from("I", self.map, CURSOR_AT + 4)[0])

    @releasing.setter
    def releasing(self, value: int) -> None:
        struct.pack_into("I", self.map, CURSOR_AT + 4, value)


def test_frames_long_and_short_cross_in_order_round_the_ring(made: Harness, far: Far) -> None:
    for first in range(0, 3 * SLOTS, 512):
        frames = mixed(first, 512)
        far.send(*frames)
        assert crossed(made) == frames
    assert made.total(0, "rx_packets") == 3 * SLOTS
    assert made.total(0, "kernel_drops") == 0
    assert made.all_drops() == {}


def test_a_frame_in_its_slot_costs_no_system_call(made: Harness, far: Far) -> None:
    far.send(*[frame(n) for n in range(10)])
    assert len(crossed(made)) == 10
    assert made.total(0, "rx_calls") == 0
    far.send(frame(10, LONG_BYTES), frame(11))
    assert len(crossed(made)) == 2
    assert made.total(0, "rx_calls") == 1


def tagged(data: bytes, tpid: int = 0x8100, tci: int = 0x2003) -> bytes:
    return data[:12] + struct.pack("!HH", tpid, tci) + data[12:]


@pytest.mark.parametrize("size", [60, SHORT_BYTES, LONG_BYTES])
@pytest.mark.parametrize("tpid", [0x8100, 0x88A8])
def test_vlan_tags_are_put_back(made: Harness, far: Far, size: int, tpid: int) -> None:
    frames = [
        tagged(frame(1, size), tpid),
        frame(2, size),
        tagged(tagged(frame(3, size)), tpid, tci=5),
    ]
    far.send(*frames)
    assert crossed(made) == frames


def gso_frame(payload: int) -> bytes:
    """TCP over IPv4 without its checksum, and as a GSO frame if it is long."""
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 40 + payload, 1, 0x4000, 64, 6, 0) + bytes(
        [10, 0, 0, 1, 10, 0, 0, 2]
    )
    tcp = struct.pack("!HHIIBBHHH", 1, 2, 3, 4, 0x50, 0x10, 100, 0, 0)
    return frame(0, 12) + b"\x08\x00" + ip + tcp + frame(7, payload)


@pytest.mark.parametrize("payload", [1000, 4 * 1448])
@pytest.mark.parametrize("vlan", [False, True])
def test_what_was_left_to_be_done_is_told_of_frames_of_both_kinds(
    made: Harness, far: Far, payload: int, vlan: bool
) -> None:
    data, moved = gso_frame(payload), 4 if vlan else 0
    gso = {"gso_type": GSO_TCPV4, "gso_size": 1448, "hdr_len": 54 + moved} if payload > 1448 else {}
    header = vnet_header(flags=NEEDS_CSUM, start=34 + moved, offset=16, **gso)
    sent = header + (tagged(data) if vlan else data)
    far.sender.send(sent)
    made.settle()
    assert made.ports[1].outside[0].recv(1 << 17) == sent


@pytest.mark.parametrize(("network", "jumbo"), [("ipv4", False), ("ipv6", False), ("ipv6", True)])
@pytest.mark.parametrize("tags", ["plain", "tagged"])
@pytest.mark.parametrize("batch", [1, BATCH])
def test_a_gso_frame_of_more_than_64_kib_becomes_several(
    harness: MakeHarness, far: Far, network: str, jumbo: bool, tags: str, batch: int
) -> None:
    """With a batch of one, its parts cross in as many bursts."""
    made = packet_pair(harness, far, batch)
    far.set_gso_limit(300_000)
    packet = packet_of(tags, network, "tcp-options", os.urandom(200_000))
    whole, header = big_frame(packet, 1400, jumbo=jumbo)
    for data in (vnet_header() + frame(1), header + whole, vnet_header() + frame(2)):
        far.sender.send(data)
    made.settle()
    first, *parts, last = drain(made.ports[1].outside[0])
    assert [first, last] == [vnet_header() + frame(1), vnet_header() + frame(2)]
    headers = len(whole) - len(payload_of(packet)) - (8 if jumbo else 0)
    assert b"".join(part[VNET_HDR_BYTES + headers :] for part in parts) == payload_of(packet)
    assert [len(part) > 64_000 for part in parts] == [True, True, True, False]
    assert made.total(0, "rx_packets") == 6
    assert made.all_drops() == {}


def test_what_waits_when_the_reader_is_killed_is_the_next_ones(made: Harness, far: Far) -> None:
    first, waiting, later = mixed(0, 100), mixed(100, 300), mixed(400, 50)
    far.send(*first)
    assert crossed(made) == first
    far.send(*waiting)
    made.step()  # a burst of it
    made.kill(0)
    far.send(*later)
    assert made.revive(0) == 0
    assert crossed(made) == waiting + later
    assert made.total(0, "rx_packets") == 450


@pytest.mark.parametrize("waits", [True, False])
def test_a_reader_killed_before_it_moved_the_cursor_is_followed(made: Harness, far: Far, waits: bool) -> None:
    frames = [frame(n) for n in range(100)]
    far.send(*frames)
    assert crossed(made) == frames
    later = mixed(100, 200)
    if waits:
        far.send(*later)
    made.kill(0)
    Ring(made.ports[0]).cursor -= 1
    made.revive(0)
    if not waits:
        assert crossed(made) == []
        far.send(*later)
    assert crossed(made) == later


def test_a_ring_that_filled_up_behind_a_reader_killed_before_it_moved_the_cursor(
    made: Harness, far: Far
) -> None:
    far.send(*[frame(n) for n in range(100)])
    assert len(crossed(made)) == 100
    made.kill(0)
    Ring(made.ports[0]).cursor -= 1
    later = [frame(100 + n) for n in range(SLOTS)]  # the last one is at the cursor
    far.send(*later)
    made.revive(0)
    assert crossed(made) == later
    far.send(*mixed(5000, 100))
    assert crossed(made) == mixed(5000, 100)


def test_a_reader_killed_before_it_gave_a_slot_back_leaves_it_to_the_next(made: Harness, far: Far) -> None:
    far.send(frame(0))
    assert crossed(made) == [frame(0)]
    ring = Ring(made.ports[0])
    assert (ring.map[MARK_AT], ring.releasing) == (1, 1), "a reader writes this before it returns a slot"
    frames = [frame(n) for n in range(1, 100)]
    far.send(*frames)
    made.kill(0)
    ring.map[SLOT_BYTES + MARK_AT] = 1
    ring.releasing = 2
    made.revive(0)
    assert crossed(made) == frames


def test_a_slot_that_is_filled_before_the_one_in_front_of_it_waits(made: Harness, far: Far) -> None:
    """Two CPUs fill the ring: each reserves a slot first and marks it as filled later, in any order."""
    frames = mixed(2, 50)
    far.send(*frames)
    ring = Ring(made.ports[0])
    status, ring.map[0:4] = ring.map[0:4], bytes(4)
    made.step()
    made.step()
    ring.map[0:4] = status
    assert crossed(made) == frames


def test_long_frames_of_a_device_that_went_down_while_nobody_read_are_kept(made: Harness, far: Far) -> None:
    made.kill(0)
    frames = mixed(2, 20)
    assert len(frames[0]) == LONG_BYTES
    far.send(*frames)
    far.set_link("down")
    far.set_link("up")
    made.revive(0)
    assert crossed(made) == frames
    later = [tagged(frame(100 + n, LONG_BYTES)) for n in range(4)]
    far.send(*later)
    assert crossed(made) == later


@pytest.mark.parametrize("first_bytes", [60, LONG_BYTES])
@pytest.mark.parametrize("more_wait", [True, False])
def test_a_reader_killed_with_a_long_frame_in_its_hands_loses_that_one(
    made: Harness, far: Far, first_bytes: int, more_wait: bool
) -> None:
    frames = (
        [frame(0, LONG_BYTES), frame(1, first_bytes), *mixed(2, 80)] if more_wait else [frame(0, LONG_BYTES)]
    )
    far.send(*frames)
    made.kill(0)
    taken = made.ports[0].inside[0].recv(1 << 16)
    assert taken[VNET_HDR_BYTES:] == frames[0]
    made.revive(0)
    assert crossed(made) == frames[1:]
    later = mixed(100, 60)
    far.send(*later)
    assert crossed(made) == later


def test_what_a_full_ring_refused_is_counted(made: Harness, far: Far) -> None:
    frames = [frame(n) for n in range(SLOTS + 100)]
    far.send(*frames)
    assert crossed(made) == frames[:SLOTS]
    assert made.total(0, "rx_packets") == SLOTS
    assert made.total(0, "kernel_drops") == 100


def test_long_frames_that_found_no_room_are_counted_and_hold_up_no_others(made: Harness, far: Far) -> None:
    made.ports[0].inside[0].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
    frames = mixed(0, 700)
    far.send(*frames)
    got = crossed(made)
    missed = [data for data in frames if data not in got]
    assert got == [data for data in frames if data in got]
    assert missed
    assert min(map(len, missed)) > SLOT_BYTES
    made.run(0)
    assert made.total(0, "kernel_drops") == len(missed)
    assert made.total(0, "rx_packets") == len(got)


def test_a_device_that_went_down_wakes_nobody_and_comes_back(made: Harness, far: Far) -> None:
    far.set_link("down")
    before = int(made.worker_stats().rounds)
    made.run(0, 200 * MS)
    assert made.worker_stats().rounds - before < 20
    made.run(0)
    poll = select.poll()
    poll.register(made.ports[0].inside[0], select.POLLIN)
    assert poll.poll(0) == [], "a pending error would end every sleep"
    far.set_link("up")
    frames = [frame(n) for n in range(70)]  # a long frame would call the socket and get the error
    far.send(*frames)
    assert crossed(made) == frames
    made.ports[1].send(0, *frames[:8])
    made.settle()
    assert made.total(0, "tx_packets") == 8
    assert made.all_drops() == {}


# -------------------------------------------------------------------------- what a dead reader wrote there


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("snaplen", 2**32 - 1),
        ("snaplen", SLOT_BYTES),
        ("snaplen", 61),
        ("len", 59),
        ("mac", 65535),
        ("mac", SLOT_BYTES - 59),
        ("mac", 0),
        ("mac", VNET_HDR_BYTES - 1),
        ("status", 1 << 4),
        ("status", USER | COPY),
    ],
)
def test_a_slot_that_makes_no_sense_is_dropped_by_name(
    made: Harness, far: Far, field: str, value: int
) -> None:
    made.kill(0)
    frames = [frame(n) for n in range(5)]
    far.send(*frames)
    ring = Ring(made.ports[0])
    ring.spoil(2, field, value)
    made.revive(0)
    assert crossed(made) == frames[:2] + frames[3:]
    assert made.all_drops() == {"bad_desc": 1}
    assert ring.status(2) == KERNEL
    far.send(*mixed(10, 50))
    assert crossed(made) == mixed(10, 50)


def test_random_bytes_in_the_ring_are_read_within_bounds(made: Harness, far: Far) -> None:
    """A sanitizer finds accesses out of bounds. Everything is accounted for, and traffic is back later."""
    ring, dice = Ring(made.ports[0]), random.Random(1)
    made.conserves = False  # the kernel never sent these packets
    for round_ in range(60):
        far.send(*mixed(round_ * 20, 20))
        if round_ % 4 == 0:
            made.kill(0)
        if round_ % 3 == 0:
            ring.map[:] = dice.randbytes(SLOTS * SLOT_BYTES)
        for _ in range(50):
            field = dice.choice(list(FIELDS))
            value = dice.choice([0, 1, 3, 17, 0xFFFF, 60, 2048, dice.getrandbits(32)])
            ring.spoil(dice.randrange(SLOTS), field, value)
        if round_ % 5 == 0:
            ring.map[:] = bytes([dice.choice([0, 1, 3, 0x11])] + [0] * (SLOT_BYTES - 1)) * SLOTS
        if round_ % 4 == 0:
            made.revive(0)
        made.settle()
        drain(made.ports[1].outside[0])
    assert_traffic_is_back(made, far)


def assert_traffic_is_back(made: Harness, far: Far) -> None:
    wanted = mixed(9000, 30)

    def all_crossed() -> bool:
        made.run(0, 10 * MS)
        drain(made.ports[1].outside[0])
        far.send(*wanted)
        return crossed(made)[-30:] == wanted

    wait_until(all_crossed, "frames cross whole and in order again", 10)


@pytest.mark.parametrize("moved", [-1, -700, 1, 40, 1500])
def test_a_wrong_cursor_costs_a_moment(made: Harness, far: Far, moved: int) -> None:
    """Neither the reader nor the kernel would wait for the other for a whole round."""
    far.send(*mixed(0, 100))
    assert len(crossed(made)) == 100
    made.kill(0)
    ring = Ring(made.ports[0])
    ring.cursor += moved
    ring.releasing = ring.cursor
    made.revive(0)
    frames = [frame(n) for n in range(200, 210)]
    far.send(*frames)
    got: list[bytes] = []

    def came() -> bool:
        made.run(0, 10 * MS)
        got.extend(crossed(made))
        return sorted(got) == sorted(frames)

    wait_until(came, "the frames crossed", 10)
    assert made.all_drops() == {}


@pytest.mark.parametrize("moved", [-1, 40])
def test_a_queue_that_is_discarded_is_emptied_whatever_its_cursor_says(
    made: Harness, far: Far, moved: int
) -> None:
    made.kill(0)
    far.send(*[frame(n) for n in range(70)])
    Ring(made.ports[0]).cursor += moved
    fd, found = made.ports[0].inside[0].fileno(), ffi.new("struct ttf_discarded *")
    assert lib.ttf_queue_discard(lib.TTF_DRIVER_PACKET, fd, lib.TTF_VNET_HDR_BYTES, found) == 0
    assert found.packets == 70
    made.revive(0)
    assert_traffic_is_back(made, far)


def test_a_frame_that_lost_its_slot_holds_up_no_others(made: Harness, far: Far) -> None:
    """Frames in the socket's queue are taken by their slots' order. One too many would shift all others."""
    frames = [frame(n, LONG_BYTES + n) for n in range(10)]
    far.send(*frames)
    made.kill(0)
    Ring(made.ports[0]).spoil(3, "status", KERNEL)
    made.revive(0)
    got: list[bytes] = []

    def came() -> bool:
        made.run(0, 10 * MS)
        got.extend(crossed(made))
        return got == frames[:3] + frames[4:]

    wait_until(came, "the other frames crossed", 10)
    assert made.all_drops() == {"bad_desc": 1}


def test_a_ring_that_the_kernel_fills_no_more_is_reported_and_can_be_renewed(
    harness: MakeHarness, far: Far
) -> None:
    """Kernels without a correction lose a slot to a packet that its header can't express, and drop all
    later packets. To the reader that looks as if nothing but such packets came, as here.
    """
    with tap("near1", far.netns) as fd:
        made = packet_pair(harness, far, BATCH, "near1")
        os.write(fd, vnet_header() + frame(1))
        assert crossed(made) == [frame(1)]

        def reported() -> bool:
            os.write(fd, inexpressible_frame())
            made.run(0, 10 * MS)
            return int(lib.ttf_worker_queue_error(made.live[0], 0)) == errno.ENOTRECOVERABLE

        wait_until(reported, "the worker says that its ring is stuck")
        made.kill(0)
        packet_sockets.renew_ring(made.ports[0].inside[0].fileno())
        made.revive(0)
        os.write(fd, vnet_header() + frame(2))
        os.write(fd, vnet_header() + frame(3, LONG_BYTES))
        assert crossed(made) == [frame(2), frame(3, LONG_BYTES)]
        made.run(0)
        assert made.total(0, "kernel_drops") > 1
        assert lib.ttf_worker_queue_error(made.live[0], 0) == 0

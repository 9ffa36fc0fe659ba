# SPDX-License-Identifier: Apache-2.0
"""Driver packet on a real device: sending by its transmit ring or without it, also after workers were killed.

netns        instance                    test
[far]====( packet 0, socket 1 )====[AF_UNIX socket]
"""

from __future__ import annotations

import mmap
import struct

import pytest

from tests.native.conftest import MakeHarness
from tests.native.ext import lib
from tests.native.far import Far, packet_pair
from tests.native.harness import Harness, frame
from tests.support.offloads import DATA_VALID, NEEDS_CSUM, VNET_HDR_BYTES, vnet_header

SLOTS, SLOT_BYTES = int(lib.TTF_PACKET_TX_SLOTS), int(lib.TTF_PACKET_SLOT_BYTES)
BATCH = 8
AVAILABLE, SEND_REQUEST, SENDING = 0, 1, 2  # linux/if_packet.h
DATA_AT = 32  # TPACKET2_HDRLEN - sizeof(struct sockaddr_ll)

FITS_BYTES = SLOT_BYTES - DATA_AT - VNET_HDR_BYTES


@pytest.fixture
def made(harness: MakeHarness, far: Far) -> Harness:
    made = packet_pair(harness, far, BATCH)
    far.received()
    return made


class Ring:
    """The ring as its writer sees it, mapped by the test."""

    def __init__(self, made: Harness) -> None:
        plain = made.ports[0].plain
        assert plain
        self.map = mmap.mmap(plain.fileno(), SLOTS * SLOT_BYTES)

    def status(self, slot: int) -> int:
        return int(struct.unpack_from("I", self.map, slot % SLOTS * SLOT_BYTES)[0])

    def set_status(self, slot: int, status: int) -> None:
        struct.pack_into("I", self.map, slot % SLOTS * SLOT_BYTES, status)

    def write(self, slot: int, data: bytes) -> None:
        """A frame in its slot, as a worker leaves it that is killed before its send()."""
        at = slot % SLOTS * SLOT_BYTES
        whole = vnet_header(hdr_len=len(data)) + data
        self.map[at + DATA_AT : at + DATA_AT + len(whole)] = whole
        struct.pack_into("II", self.map, at, SEND_REQUEST, len(whole))

    def used(self) -> int:
        """The number of slots that were ever used."""
        lengths = (struct.unpack_from("I", self.map, n * SLOT_BYTES + 4)[0] for n in range(SLOTS))
        return sum(length > 0 for length in lengths)


def put(made: Harness, frames: list[bytes], header: bytes = vnet_header()) -> None:
    for first in range(0, len(frames), BATCH):
        for data in frames[first : first + BATCH]:
            made.ports[1].outside[0].send(header + data)
        made.settle()


def short(first: int, count: int) -> list[bytes]:
    return [frame(n, 60 + n % 7 * 200) for n in range(first, first + count)]


def crosses(made: Harness, far: Far, frames: list[bytes]) -> bool:
    put(made, frames)
    return far.received() == frames


def test_a_burst_leaves_by_one_call_and_in_order_round_the_ring(made: Harness, far: Far) -> None:
    frames = short(0, 3 * SLOTS)
    assert crosses(made, far, frames)
    assert made.total(0, "tx_packets") == len(frames)
    assert made.total(0, "tx_bytes") == sum(map(len, frames))
    assert made.total(0, "tx_calls") == len(frames) // BATCH
    assert Ring(made).used() == SLOTS


def test_frames_that_the_ring_is_for_and_others_keep_their_order(made: Harness, far: Far) -> None:
    sizes = (60, FITS_BYTES, FITS_BYTES + 1, 9014, 1514, 9014, 60, 61, 4000, FITS_BYTES)
    frames = [frame(n, sizes[n % len(sizes)]) for n in range(200)]
    assert crosses(made, far, frames)
    assert made.total(0, "tx_packets") == 200
    assert made.all_drops() == {}


def test_a_frame_whose_checksum_was_checked_asks_for_nothing_more(made: Harness, far: Far) -> None:
    frames = short(0, BATCH)
    put(made, frames, vnet_header(flags=DATA_VALID))
    assert far.received() == frames
    assert made.total(0, "tx_calls") == 1
    assert Ring(made).used() == BATCH


def test_a_frame_whose_checksum_is_to_be_done_does_not_go_into_the_ring(made: Harness, far: Far) -> None:
    data = frame(0, 100)
    put(made, [data], vnet_header(flags=NEEDS_CSUM, start=34, offset=16))
    (got,) = far.received()
    assert (got[:50], got[52:]) == (data[:50], data[52:])
    assert Ring(made).used() == 0


@pytest.mark.parametrize("sent", [0, 1, SLOTS - 1, SLOTS + 3])
@pytest.mark.parametrize("unsent", [0, 1, 5, SLOTS])
def test_what_a_killed_worker_left_in_the_ring_is_never_sent(
    made: Harness, far: Far, sent: int, unsent: int
) -> None:
    """The kernel may be at any position of the ring, and any slots may lie there."""
    assert crosses(made, far, short(0, sent))
    made.kill(0)
    ring = Ring(made)
    for n in range(unsent):
        ring.write(sent + n, frame(10_000 + n, 100))
    made.revive(0)
    calls = made.total(0, "tx_calls")
    assert crosses(made, far, short(sent, 2 * SLOTS))
    assert made.total(0, "tx_packets") == sent + 2 * SLOTS
    assert made.total(0, "tx_calls") - calls == 2 * SLOTS // BATCH


def test_a_frame_that_the_device_still_has_holds_up_no_others(made: Harness, far: Far) -> None:
    assert crosses(made, far, short(0, 3))
    ring = Ring(made)
    ring.set_status(3 + 5, SENDING)
    frames = short(3, 2 * BATCH)
    assert crosses(made, far, frames)
    assert ring.status(3 + 5) == SENDING
    ring.set_status(3 + 5, AVAILABLE)
    calls = made.total(0, "tx_calls")
    assert crosses(made, far, short(100, SLOTS))
    assert made.total(0, "tx_calls") - calls == SLOTS // BATCH
    assert ring.used() == SLOTS


def test_a_worker_that_begins_while_the_device_has_the_next_slot_finds_it_later(
    made: Harness, far: Far
) -> None:
    assert crosses(made, far, short(0, 3))
    made.kill(0)
    ring = Ring(made)
    ring.set_status(3, SENDING)
    made.revive(0)
    assert crosses(made, far, short(3, 20))
    assert ring.used() == 0, "the frames bypassed the ring"
    ring.set_status(3, AVAILABLE)
    assert crosses(made, far, short(23, 2 * SLOTS))
    assert ring.used() == SLOTS
    assert made.all_drops() == {}


def test_a_worker_that_lost_its_place_in_the_ring_loses_no_frame(made: Harness, far: Far) -> None:
    assert crosses(made, far, short(0, 3))
    plain = made.ports[0].plain
    assert plain
    ring = Ring(made)
    for n in range(BATCH):
        ring.write(3 + n, frame(500 + n, 100))
    plain.send(b"")
    assert far.received() == [frame(500 + n, 100) for n in range(BATCH)]
    assert crosses(made, far, short(3, 2 * SLOTS))
    assert made.all_drops() == {}
    assert made.total(0, "tx_packets") == 3 + 2 * SLOTS
    assert made.total(0, "tx_calls") == 1 + 2 * SLOTS // BATCH + 2, "one fails, one finds the position"


def test_a_device_that_is_down_is_named_and_comes_back(made: Harness, far: Far) -> None:
    assert crosses(made, far, short(0, 3))
    far.set_link("down")
    put(made, short(3, 20))
    assert made.drops(0) == {"link_down": 20}
    far.set_link("up")
    far.received()
    calls = made.total(0, "tx_calls")
    assert crosses(made, far, short(23, 2 * SLOTS))
    assert made.total(0, "tx_calls") - calls == 2 * SLOTS // BATCH


def test_a_device_that_is_down_when_a_worker_begins_comes_back(made: Harness, far: Far) -> None:
    assert crosses(made, far, short(0, 3))
    made.kill(0)
    far.set_link("down")
    made.revive(0)
    put(made, short(3, 20))
    assert made.drops(0) == {"link_down": 20}
    far.set_link("up")
    far.received()
    assert crosses(made, far, short(23, 2 * SLOTS))
    assert Ring(made).used() == SLOTS


def test_a_device_without_carrier_is_as_good_as_full(made: Harness, far: Far) -> None:
    far.set_far_link("down")
    put(made, short(0, 20))
    assert made.drops(0) == {"tx_full": 20}
    assert made.total(0, "tx_packets") == 0
    assert [Ring(made).status(n) for n in range(SLOTS)] == [AVAILABLE] * SLOTS


def test_a_frame_beyond_what_the_mtu_became_is_named(made: Harness, far: Far) -> None:
    """The far end would accept the frame."""
    far.set_mtu(1000)
    made.update(0, mtu=1000, offloads=made.ports[0].offloads)
    tag = b"\x81\x00\x00\x05"
    longest, longer = frame(0, 1014), frame(1, 1015)
    tagged = frame(2, 1014)[:12] + tag + frame(2, 1014)[12:]
    put(made, [longest, longer, tagged, frame(3)])
    assert far.received() == [longest, frame(2, 1014), frame(3)], "the kernel reports a tag beside the frame"
    assert made.drops(0) == {"oversize": 1}
    assert made.total(0, "tx_packets") == 3

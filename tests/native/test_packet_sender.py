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
from tests.native.test_segment import packet_of
from tests.support.commands import in_namespace, run
from tests.support.offloads import (
    DATA_VALID,
    NEEDS_CSUM,
    VNET_HDR_BYTES,
    gso_frame,
    segmented,
    vnet_header,
)

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


def test_a_device_without_carrier_is_down(made: Harness, far: Far) -> None:
    far.take_carrier()
    put(made, short(0, 20))
    assert made.drops(0) == {"link_down": 20}
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


# ------------------------------------------------------------------- what sendmmsg() and devices refuse


def udp_frame(n: int, length: int, tags: list[int]) -> bytes:
    """UDP over IPv4 without its checksum, and with VLAN tags of these types, not counted in `length`."""
    data = frame(n, length)
    body = data[14:16] + (length - 14).to_bytes(2, "big") + data[18:23] + b"\x11" + data[24:]
    tagging = b"".join(struct.pack("!HH", tpid, n) for tpid in tags)
    return data[:12] + tagging + b"\x08\x00\x45" + body[1:]


@pytest.mark.parametrize("tags", [[0x8100], [0x88A8], [0x88A8, 0x8100], [0x8100, 0x8100]], ids=str)
@pytest.mark.parametrize("checksum", ["complete", "left"])
def test_tagged_frames_of_the_full_mtu_cross(made: Harness, far: Far, tags: list[int], checksum: str) -> None:
    """sendmmsg() would refuse most of them: the kernel allows four more bytes, and for type 0x8100 alone."""
    far.set_mtu(1500)
    made.update(0, mtu=1500, offloads=made.ports[0].offloads)
    frames = [udp_frame(n, size, tags) for n, size in enumerate((1514, 100, 1514, 1513))]
    start = 34 + 4 * len(tags)
    header = vnet_header(NEEDS_CSUM, start=start, offset=6) if checksum == "left" else vnet_header()
    put(made, frames, header)
    at = start - 4 + 6  # the kernel takes the outer tag out of what is captured
    got = [data[:at] + data[at + 2 :] for data in far.received()]
    wanted = [data[:12] + data[16:] for data in frames]
    assert got == [data[:at] + data[at + 2 :] for data in wanted]
    assert made.all_drops() == {}


def test_a_tagged_frame_that_neither_way_takes_is_named(made: Harness, far: Far) -> None:
    far.set_mtu(FITS_BYTES)
    made.update(0, mtu=FITS_BYTES, offloads=made.ports[0].offloads)
    put(made, [frame(0), udp_frame(1, FITS_BYTES + 14, [0x88A8]), frame(2)])
    assert far.received() == [frame(0), frame(2)]
    assert made.drops(0) == {"oversize": 1}


def test_a_frame_that_only_the_ring_takes_holds_up_no_others(made: Harness, far: Far) -> None:
    far.set_mtu(1500)
    made.update(0, mtu=1500, offloads=made.ports[0].offloads)
    assert crosses(made, far, short(0, 3))
    Ring(made).set_status(3, SENDING)
    put(made, [frame(3), udp_frame(4, 1514, [0x88A8]), frame(5)])
    assert far.received() == [frame(3), frame(5)]
    assert made.drops(0) == {"tx_full": 1}


def test_a_frame_that_the_device_refuses_holds_up_no_others(made: Harness, far: Far) -> None:
    """Here the veth's other end takes no frame as long. Kernels before 6.9 call such a frame sent."""
    far.set_far_mtu(1000)
    put(made, [frame(0), frame(1, 1500), frame(2), frame(3, 4000), frame(4)])
    assert far.received() == [frame(0), frame(2), frame(4)]
    assert made.drops(0) in ({"tx_full": 2}, {})


@pytest.mark.parametrize("network", ["ipv4", "ipv6"])
def test_a_gso_frame_that_the_device_segments_no_more_leaves_as_packets(
    made: Harness, far: Far, network: str
) -> None:
    """Until the port is told that the device's features changed."""
    packet = packet_of("plain", network, "tcp", bytes(range(256)) * 100)
    whole, header = gso_frame(packet, 1400)
    run(*in_namespace(far.netns, "ethtool", "-K", "near", "tso", "off", "gso", "off"))
    for data in (vnet_header() + frame(0), header + whole, header + whole, vnet_header() + frame(1)):
        made.ports[1].outside[0].send(data)
    made.settle()
    packets = segmented(packet, 1400)
    assert far.received() == [frame(0), *packets, *packets, frame(1)]
    assert made.all_drops() == {}
    assert made.total(0, "tx_packets") == 2 + 2 * len(packets)

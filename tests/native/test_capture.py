# SPDX-License-Identifier: Apache-2.0
"""What workers capture, and what its reader makes of a ring that isn't as it should be.

Every other test of the loop asserts that what was captured is what was counted (Harness.check_captured()).
"""

from __future__ import annotations

import errno
import random

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from tests.native.capture import EVERY_EVENT, Record, Watcher
from tests.native.conftest import MakeHarness
from tests.native.ext import ffi, lib
from tests.native.harness import MMSG, Harness, Segment, frame, mac, udp_frame
from tests.support.offloads import VNET_HDR_BYTES, gso_frame

WHOLE = lib.TTF_FRAME_MAX_BYTES
DROP_ONLY = 1 << lib.TTF_EVENT_DROP


def events(records: list[Record]) -> list[tuple[str, int]]:
    return [(it.event, it.port) for it in records]


def capturing(harness: MakeHarness, workers: int = 1, keep_bytes: int = WHOLE, **settings: object) -> Harness:
    made = harness(workers, **settings)
    made.capture(EVERY_EVENT, keep_bytes)
    return made


# ---------------------------------------------------------------------------------- through the pool


def test_a_forwarded_frame_is_captured_as_received_and_as_sent(harness: MakeHarness) -> None:
    made = capturing(harness)
    left, _ = made.pair()
    watcher = made.watch()
    frames = [frame(n, 60 + n) for n in range(5)]
    left.send(0, *frames)
    made.settle()
    records = watcher.read()
    assert events(records) == [("rx", 0)] * 5 + [("tx", 1)] * 5
    assert [it.kept for it in records] == frames * 2
    assert [it.length for it in records] == [len(data) for data in frames] * 2
    assert [it.name for it in records[:5]] == [it.name for it in records[5:]], "the same frames"
    assert len({it.name for it in records}) == 5
    assert len({it.time_ns for it in records[:5]}) == 1, "one time for a burst"
    assert sorted(it.time_ns for it in records) == [it.time_ns for it in records]


def test_no_more_is_kept_than_asked_for(harness: MakeHarness) -> None:
    made = capturing(harness, keep_bytes=20)
    left, _ = made.pair()
    watcher = made.watch()
    left.send(0, frame(1, 100))
    made.settle()
    assert [(it.length, it.kept) for it in watcher.read()] == [(100, frame(1, 100)[:20])] * 2


def test_only_what_is_asked_for_is_captured_and_only_from_then_on(harness: MakeHarness) -> None:
    made = harness()
    made.capture(0)
    left, _ = made.pair(mtu=1000)
    watcher = made.watch()
    long = frame(2, 1200)
    left.send(0, frame(1), long)
    made.settle()
    assert watcher.read() == []
    assert lib.ttf_capture_seen(made.captures[0].base) == 0
    made.capture(DROP_ONLY, 64)
    left.send(0, frame(1), long)
    made.settle()
    (only,) = watcher.read()
    assert (only.event, only.port, only.reason, only.kept) == ("drop", 1, "oversize", long[:64])
    assert lib.ttf_capture_seen(made.captures[0].base) == DROP_ONLY << lib.TTF_CAPTURE_SHIFT | 64
    made.capture(0)
    left.send(0, long)
    made.settle()
    assert watcher.read() == []
    assert made.drops(1) == {"oversize": 3}


def test_a_reader_gets_the_events_and_ports_that_it_wants(harness: MakeHarness) -> None:
    made = capturing(harness)
    left, right = made.pair()
    sent = made.watch(events=1 << lib.TTF_EVENT_TX)
    at_right = made.watch(ports=1 << 1)
    left.send(0, frame(1))
    right.send(0, frame(2))
    made.settle()
    assert sorted(events(sent.read())) == [("tx", 0), ("tx", 1)]
    assert sorted(events(at_right.read())) == [("rx", 1), ("tx", 1)]
    assert (sent.reader.lost, at_right.reader.lost) == (0, 0), "what a reader doesn't want isn't lost"


def test_a_frame_that_is_handed_over_keeps_its_name(harness: MakeHarness) -> None:
    made = capturing(harness, 2, steering="flow")
    left, _ = made.pair()
    watchers = [made.watch(0), made.watch(1)]
    flows = [udp_frame(port, 80, b"x" * 20) for port in range(32)]
    left.send(0, *flows)
    made.settle()
    giver, taker = (watcher.read() for watcher in watchers)
    handed = [it for it in giver if it.event == "handed"]
    assert 0 < len(handed) < 32
    assert {(it.port, it.to) for it in handed} == {(1, 1)}
    assert [(it.event, it.name) for it in taker] == [("tx", it.name) for it in handed]
    received = {it.name: it.kept for it in giver if it.event == "rx"}
    assert all(it.kept == received[it.name] for it in taker)


def test_copies_of_a_flood_name_their_origin(harness: MakeHarness) -> None:
    made = capturing(harness, 2, mode="bridge", steering="flow")
    left = made.connect(0)
    for port_id in (1, 2):
        made.connect(port_id)
    watchers = [made.watch(0), made.watch(1)]
    flooded = udp_frame(1, 2, b"hello")
    left.send(0, flooded)
    made.settle()
    records = [it for watcher in watchers for it in watcher.read()]
    (received,) = [it for it in records if it.event == "rx"]
    assert [it.name for it in records if it.event == "flood"] == [received.name]
    family = {received.name} | {it.name for it in records if it.event == "copy"}
    assert {it.origin for it in records if it.event == "copy"} <= {received.name}
    sent = [it for it in records if it.event == "tx"]
    assert sorted(it.port for it in sent) == [1, 2]
    assert all(it.kept == flooded and it.name in family for it in sent)


def test_the_packets_of_a_gso_frame_name_it(harness: MakeHarness) -> None:
    made = capturing(harness)
    left = made.connect(0, peer=1, driver=MMSG, header_bytes=VNET_HDR_BYTES)
    made.connect(1, peer=0, driver=MMSG)
    watcher = made.watch()
    packet = Ether(src=mac(1), dst=mac(2)) / IP(src="10.0.0.1", dst="10.0.0.2") / TCP() / Raw(bytes(3000))
    data, header = gso_frame(packet, 1000)
    left.send(0, data, header=header)
    made.settle()
    received, *others = watcher.read()
    assert (received.event, received.kept, received.offload) == ("rx", data, header)
    assert [it.event for it in others] == ["copy"] * 3 + ["tx"] * 3
    assert {it.origin for it in others[:3]} == {received.name}
    assert [it.name for it in others[3:]] == [it.name for it in others[:3]]
    assert [it.length for it in others[3:]] == [1054] * 3


def test_a_frame_that_no_memory_holds_is_captured_without_bytes(harness: MakeHarness) -> None:
    made = capturing(harness)
    left, _ = made.pair()
    watcher = made.watch()
    left.outside[0].send(bytes(70_000))
    made.settle()
    records = watcher.read()
    assert [(it.event, it.reason, it.length, it.kept) for it in records] == [
        ("rx", "", 0, b""),
        ("drop", "oversize", 0, b""),
    ]


def test_generated_frames_have_no_name(harness: MakeHarness) -> None:
    made = capturing(harness, mode="txonly")
    made.connect(0)
    config = ffi.new("struct ttf_pktgen_config *", {"size": 60, "flows": 1, "rate": 0})
    assert lib.ttf_worker_pktgen(made.live[0], 0, config) == 0
    watcher = made.watch()
    made.step()
    records = [it for it in watcher.read() if it.event == "tx"]
    assert len(records) == made.total(0, "tx_packets") > 0
    assert {it.name[1] for it in records} == {lib.TTF_NOWHERE}


# ------------------------------------------------------------------------------- through the crossing


def test_frames_that_cross_are_captured_whole(harness: MakeHarness) -> None:
    made = capturing(harness, crossing=True)
    assert made.module is not None
    left, right = made.pair(crosses=True, mtu=65_535)
    watcher = made.watch()
    frames = [frame(n, length) for n, length in enumerate((60, 128, 129, 1514, 60_000))]
    made.module.ports[left.crossing[0]].bring(*frames)
    made.settle()
    records = watcher.read()
    assert events(records) == [("rx", 0)] * 5 + [("tx", 1)] * 5
    assert [it.kept for it in records] == frames * 2
    assert [it.name for it in records[:5]] == [it.name for it in records[5:]]
    assert made.module.copied == 6, "what a cell shows isn't copied out"
    assert made.module.ports[right.crossing[0]].sent == frames


def test_a_burst_of_long_frames_doesnt_overwrite_itself(harness: MakeHarness) -> None:
    made = capturing(harness, crossing=True, batch=256, frames=1024)
    assert made.module is not None
    left, _ = made.pair(crosses=True, mtu=65_535)
    watcher = made.watch()
    frames = [frame(n, 60_000) for n in range(256)]
    made.module.ports[left.crossing[0]].bring(*frames)
    made.step()
    records = watcher.read()
    assert len(records) + watcher.reader.lost == 512
    assert all(it.kept == frames[int.from_bytes(it.kept[14:18])][: len(it.kept)] for it in records)
    assert {len(it.kept) for it in records} <= {60_000, lib.TURBOTAP_CELL_HEADERS}
    assert watcher.reader.malformed == 0


def test_a_rewritten_frame_is_captured_as_it_leaves(harness: MakeHarness) -> None:
    made = capturing(harness, crossing=True, mode="macswap")
    assert made.module is not None
    port = made.module.ports[made.connect(0, crosses=True).crossing[0]]
    watcher = made.watch()
    port.bring(frame(1, 300, mac(7), mac(8)))
    made.settle()
    received, sent = watcher.read()
    assert received.kept == frame(1, 300, mac(7), mac(8))
    assert sent.kept == port.sent[0] == mac(8) + mac(7) + received.kept[12:]


@pytest.mark.parametrize(
    ("wanted", "kept_bytes"), [(EVERY_EVENT, 300), (DROP_ONLY, lib.TURBOTAP_CELL_HEADERS)]
)
def test_a_frame_that_the_module_refuses_is_a_drop(
    harness: MakeHarness, wanted: int, kept_bytes: int
) -> None:
    """Its bytes are gone with it, unless they were copied for the case that it is sent."""
    made = harness(crossing=True)
    made.capture(wanted, WHOLE)
    assert made.module is not None
    left, right = made.pair(crosses=True)
    watcher = made.watch()
    made.module.ports[right.crossing[0]].refuses = errno.ENOBUFS
    made.module.ports[left.crossing[0]].bring(frame(1, 300))
    made.settle()
    *before, dropped = watcher.read()
    assert [it.event for it in before] == (["rx"] if wanted == EVERY_EVENT else [])
    assert (dropped.event, dropped.port, dropped.reason) == ("drop", 1, "tx_full")
    assert (dropped.length, dropped.kept) == (300, frame(1, 300)[:kept_bytes])


def test_a_frame_that_leaves_the_crossing_is_a_copy(harness: MakeHarness) -> None:
    made = capturing(harness, crossing=True)
    assert made.module is not None
    left = made.connect(0, peer=1, crosses=True)
    right = made.connect(1, peer=0)
    watcher = made.watch()
    made.module.ports[left.crossing[0]].bring(frame(1, 300))
    made.settle()
    assert right.receive(0) == [frame(1, 300)]
    received, copied, sent = watcher.read()
    assert [it.event for it in (received, copied, sent)] == ["rx", "copy", "tx"]
    assert copied.origin == received.name
    assert sent.name == copied.name
    assert received.name[1] & lib.TTF_NAME_SLOT
    assert sent.kept == frame(1, 300)


# --------------------------------------------------------------------------------------------- the ring


def test_a_slow_reader_loses_the_oldest_and_knows_how_many(harness: MakeHarness) -> None:
    made = capturing(harness)
    left, right = made.pair()
    watcher = made.watch()
    sent = 0
    left.send(0, frame(sent, 1500))
    made.settle()
    assert len(watcher.read()) == 2
    while sent * 2 * (1500 + 64) < 2 * lib.TTF_CAPTURE_BYTES:
        for _ in range(50):
            sent += 1
            left.send(0, frame(sent, 1500))
        made.settle()
        right.receive(0)
    records = watcher.read()
    assert watcher.reader.lost == 2 * sent - len(records) > 0
    assert len(records) * (1500 + 64) > lib.TTF_CAPTURE_BYTES - 2 * lib.TTF_CAPTURE_CHUNK
    assert records[-1].kept == frame(sent, 1500)
    left.send(0, frame(9))
    made.settle()
    assert [it.kept for it in watcher.read()] == [frame(9)] * 2


def test_the_next_incarnation_captures_on(harness: MakeHarness) -> None:
    """What the dead one wrote and didn't publish is passed over, and no record is counted as lost."""
    made = capturing(harness)
    left, _ = made.pair()
    watcher = made.watch()
    left.send(0, frame(1))
    made.settle()
    assert len(watcher.read()) == 2
    capture = ffi.cast("struct ttf_capture *", made.captures[0].base)
    for unpublished in (0, 64, lib.TTF_CAPTURE_CHUNK - 64, 3 * lib.TTF_CAPTURE_CHUNK):
        made.kill(0)
        ffi.memmove(capture.ring + capture.head % lib.TTF_CAPTURE_BYTES, random.randbytes(64), 64)
        capture.reserved, capture.writing = capture.head + unpublished, 1
        made.revive(0)
        left.send(0, frame(2))
        made.settle()
        assert [it.kept for it in watcher.read()] == [frame(2)] * 2
        assert (watcher.reader.lost, watcher.reader.malformed, capture.writing) == (0, 0, 0)


def test_the_reader_knows_until_when_it_has_everything(harness: MakeHarness) -> None:
    made = capturing(harness)
    left, _ = made.pair()
    watcher = made.watch()
    left.send(0, frame(1))
    made.settle()
    records = watcher.read()
    assert watcher.reader.until_ns > records[-1].time_ns
    ffi.cast("struct ttf_capture *", made.captures[0].base).writing = 1
    assert watcher.read() == []
    assert watcher.reader.until_ns == records[-1].time_ns, "what is being written may be as old"


def test_a_ring_may_hold_anything() -> None:
    """A worker can write what it likes there. The reader reads nothing but the ring, and ends."""
    segment = Segment(ffi.sizeof("struct ttf_capture"))
    capture = ffi.cast("struct ttf_capture *", segment.base)
    chance = random.Random(5)
    watcher = Watcher(segment.base)
    values = (0, 1, 7, 8, 64, lib.TTF_CAPTURE_CHUNK, lib.TTF_CAPTURE_BYTES, 2**63, 2**64 - 1)
    for _ in range(300):
        at = chance.randrange(lib.TTF_CAPTURE_BYTES - 4096)
        ffi.memmove(capture.ring + at, chance.randbytes(4096), 4096)
        for field in ("head", "reserved"):
            setattr(capture, field, (chance.choice(values) + chance.choice(values)) % 2**64)
        if chance.random() < 0.5:
            watcher.reader.at = (capture.head - chance.randrange(2 * lib.TTF_CAPTURE_BYTES)) % 2**64 & ~7
        for it in watcher.read():
            assert len(it.kept) <= it.length
    assert watcher.reader.malformed
    segment.close()


@pytest.mark.parametrize("head", [0, 3, lib.TTF_CAPTURE_BYTES - 4, 2**64 - 1])
@pytest.mark.parametrize("reserved", [0, 2**40, 2**63, 2**64 - 1])
def test_the_next_incarnation_begins_with_a_spoilt_ring(
    harness: MakeHarness, head: int, reserved: int
) -> None:
    made = capturing(harness)
    left, _ = made.pair()
    made.kill(0)
    capture = ffi.cast("struct ttf_capture *", made.captures[0].base)
    capture.head, capture.reserved = head, reserved
    made.revive(0)
    watcher = made.watch()
    left.send(0, frame(2))
    made.settle()
    assert [it.kept for it in watcher.read()] == [frame(2)] * 2


def test_what_a_detached_port_left_is_published_when_the_capture_ends(harness: MakeHarness) -> None:
    made = capturing(harness)
    left, _ = made.pair()
    made.settle()
    watcher = made.watch()
    left.send(0, frame(1))
    made.disconnect(0)
    made.capture(0)
    made.step()
    assert "rx" in [it.event for it in watcher.read()]
    assert ffi.cast("struct ttf_capture *", made.captures[0].base).writing == 0

# SPDX-License-Identifier: Apache-2.0
"""Frames that stay in the kernel, over a model of the module (crossing_module.py).

The `harness` fixture asserts at the end of each test that every packet is accounted for.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Callable
from typing import Any

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Raw

from tests.native.conftest import MakeHarness
from tests.native.crossing_module import CrossingModule, CrossingPort
from tests.native.ext import ffi, lib
from tests.native.harness import MMSG, Harness, SocketPort, frame, mac, udp_frame
from tests.support.offloads import VNET_HDR_BYTES, gso_frame, left_to_the_device

BATCH = 64


def module_of(made: Harness) -> CrossingModule:
    assert made.module is not None
    return made.module


def inside(made: Harness, port: SocketPort, queue: int = 0) -> CrossingPort:
    return module_of(made).ports[port.crossing[queue]]


def pair(make: MakeHarness, workers: int = 1, **settings: Any) -> tuple[Harness, CrossingPort, CrossingPort]:
    made = make(workers, crossing=True, **settings)
    left, right = made.pair(crosses=True)
    return made, inside(made, left), inside(made, right)


# ------------------------------------------------------------------------------------ port to port


def test_frames_cross_in_order_and_a_call_sends_a_burst_and_receives_the_next(harness: MakeHarness) -> None:
    made, left, right = pair(harness, batch=BATCH)
    frames = [frame(n, 60 + n * 7) for n in range(3 * BATCH)]
    left.bring(*frames)
    for _ in range(4):
        made.step()
    assert right.sent == frames
    received, sent = made.queue(0), made.queue(1)
    assert (received.rx_packets, received.rx_bytes) == (len(frames), sum(map(len, frames)))
    assert (sent.tx_packets, sent.tx_bytes) == (received.rx_packets, received.rx_bytes)
    assert received.rx_calls == 3
    # Each round asks both queues, and a slice ends with nothing left to send.
    assert module_of(made).calls[:4] == [(0, BATCH), (BATCH, 0), (0, BATCH), (BATCH, 0)]
    assert list(received.rx_bursts)[6] == 3


def test_a_slice_that_ends_sends_what_waits_by_a_call_of_its_own(harness: MakeHarness) -> None:
    made, left, right = pair(harness, batch=BATCH)
    frames = [frame(n) for n in range(BATCH)]
    left.bring(*frames)
    made.step()
    right.bring(*frames)
    made.step()
    assert left.sent == right.sent == frames
    # What came from the first port was sent by the call that asked the second.
    assert [made.queue(port).tx_calls for port in (0, 1)] == [1, 0]


def test_a_round_leaves_nothing_unsent(harness: MakeHarness) -> None:
    made = harness(crossing=True)
    (only,) = [made.connect(0, peer=1, crosses=True)]
    made.connect(1, queues=1, peer=0, crosses=True)
    inside(made, only).bring(*(frame(n) for n in range(5)))
    made.step()
    assert len(module_of(made).ports[2].sent) == 5


def test_macswap_rewrites_the_addresses_alone(harness: MakeHarness) -> None:
    made = harness(crossing=True, mode="macswap")
    port = inside(made, made.connect(0, crosses=True))
    frames = [frame(n, 60 + n, mac(n), mac(100 + n)) for n in range(10)]
    port.bring(*frames)
    made.settle()
    assert port.sent == [data[6:12] + data[:6] + data[12:] for data in frames]


def test_every_worker_sends_what_it_received_whatever_the_steering(harness: MakeHarness) -> None:
    made = harness(3, crossing=True, steering="flow")
    left = made.connect(0, peer=1, crosses=True)
    right = made.connect(1, queues=1, peer=0, crosses=True)
    offered = [[udp_frame(flow, 80, bytes([flow, n])) for n in range(9)] for flow in range(3)]
    for queue, frames in enumerate(offered):
        inside(made, left, queue).bring(*frames)
    made.settle()
    assert inside(made, right).sent == [data for frames in offered for data in frames]
    assert [made.queue(1, w).tx_packets for w in range(3)] == [9, 9, 9]
    assert made.waiting() == 0
    assert all(made.ring_out(a, b).pushed == 0 for a in range(3) for b in range(3) if a != b)


def test_a_flood_is_clones_and_the_frame_itself(harness: MakeHarness) -> None:
    made = harness(crossing=True, mode="bridge", batch=BATCH)
    ports = [inside(made, made.connect(p, crosses=True)) for p in range(6)]
    frames = [frame(n, dst=b"\xff" * 6) for n in range(BATCH)]  # more entries than a call has
    ports[0].bring(*frames)
    made.settle()
    assert [port.sent for port in ports] == [[], *([frames] * 5)]
    assert made.worker_stats().orphans.copied_packets == 4 * BATCH
    assert not module_of(made).members[0].held


def test_what_goes_nowhere_is_named_and_released(harness: MakeHarness) -> None:
    made = harness(crossing=True)
    port = inside(made, made.connect(0, crosses=True))
    port.bring(frame(1), frame(2))
    made.settle()
    assert made.drops(0) == {"no_port": 2}
    assert not module_of(made).members[0].held


def test_rxonly_drops_and_releases(harness: MakeHarness) -> None:
    made = harness(crossing=True, mode="rxonly")
    port = inside(made, made.connect(0, crosses=True))
    port.bring(*(frame(n) for n in range(100)))
    made.settle()
    assert made.drops(0) == {"rx_only": 100}
    assert not module_of(made).members[0].held


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (errno.ENOBUFS, "tx_full"),
        (errno.ENOMEM, "tx_full"),
        (errno.EAGAIN, "tx_full"),
        (errno.EIO, "link_down"),
        (errno.EBADFD, "link_down"),
        (errno.ENXIO, "no_port"),
        (errno.EMSGSIZE, "oversize"),
        (errno.EINVAL, "tx_error"),
        (errno.EOPNOTSUPP, "tx_error"),
    ],
)
def test_what_the_kernel_refuses_is_named(harness: MakeHarness, error: int, reason: str) -> None:
    made, left, right = pair(harness)
    right.refuses = error
    left.bring(*(frame(n) for n in range(7)))
    made.settle()
    assert made.drops(1) == {reason: 7}
    assert right.sent == []
    right.refuses = 0
    left.bring(frame(8))
    made.settle()
    assert right.sent == [frame(8)]


def test_frames_that_the_module_lost_were_never_received(harness: MakeHarness) -> None:
    made, left, _ = pair(harness)
    module_of(made).lost = 3
    left.bring(frame(1))
    made.settle()
    assert (made.total(0, "kernel_drops"), made.total(0, "rx_packets")) == (3, 1)


# ---------------------------------------------------------------------------------------- lengths


def test_a_frame_longer_than_the_mtu_is_dropped_but_for_its_tags(harness: MakeHarness) -> None:
    made, left, right = pair(harness)
    longest = bytes(Ether(dst=mac(1), src=mac(2)) / Raw(bytes(1500)))
    tagged = bytes(Ether(dst=mac(1), src=mac(2)) / Dot1Q(vlan=5) / Raw(bytes(1500)))
    left.bring(longest, longest + b"x", tagged, tagged + b"x")
    made.settle()
    assert right.sent == [longest, tagged]
    assert made.drops(1) == {"oversize": 2}


def tcp(payload: int) -> Any:
    return Ether(dst=mac(1), src=mac(2)) / IP(src="10.0.0.1", dst="10.0.0.2") / TCP() / Raw(bytes(payload))


@pytest.mark.parametrize(
    ("mss", "options", "fits"), [(1460, 0, True), (1461, 0, False), (1448, 12, True), (1449, 12, False)]
)
def test_of_a_gso_frame_the_longest_packet_counts(
    harness: MakeHarness, mss: int, options: int, fits: bool
) -> None:
    made, left, right = pair(harness, batch=4)
    sent = tcp(20_000)
    sent[TCP].options = [("NOP", None)] * options
    data, header = gso_frame(sent, mss)
    left.bring(data, header=header)
    made.settle()
    assert right.sent == ([data] if fits else [])
    assert made.drops(1) == ({} if fits else {"oversize": 1})


def test_headers_beyond_the_cell_count_their_least(harness: MakeHarness) -> None:
    """The cell shows 128 bytes; TCP's header begins behind them."""
    made, left, right = pair(harness, batch=4)
    start = 140
    data = bytes(Ether(dst=mac(1), src=mac(2), type=0x86DD)) + bytes(20_000)
    for gso_size in (1500 + 14 - start - 20, 1500 + 14 - start - 19):
        left.bring(data, header=struct.pack("=BBHHHH", 1, 4, start + 20, gso_size, start, 16))
    made.settle()
    assert right.sent == [data]
    assert made.drops(1) == {"oversize": 1}


def test_a_frame_whose_offload_has_no_form_is_dropped(harness: MakeHarness) -> None:
    made, left, right = pair(harness)
    left.bring(frame(1), flags=lib.TURBOTAP_CELL_NO_VNET)
    left.bring(frame(2))
    made.settle()
    assert right.sent == [frame(2)]
    assert made.drops(0) == {"offload": 1}


def test_the_frames_of_a_full_burst_stay_in_order_each_as_its_own_kind(harness: MakeHarness) -> None:
    made, left, right = pair(harness, batch=256)
    plain = [frame(n) for n in range(252)]
    tagged = bytes(Ether(dst=mac(1), src=mac(2)) / Dot1Q(vlan=5) / Raw(bytes(1500)))
    left.bring(*plain[:100], frame(1)[:13])
    left.bring(frame(2), flags=lib.TURBOTAP_CELL_NO_VNET)
    left.bring(*plain[100:200], tagged, frame(3, 1515), *plain[200:])
    made.settle()
    assert module_of(made).calls[0] == (0, 256)
    assert right.sent == [*plain[:200], tagged, *plain[200:]]
    assert (made.drops(0), made.drops(1)) == ({"runt": 1, "offload": 1}, {"oversize": 1})
    assert not module_of(made).members[0].held


# ------------------------------------------------------------------------- ports outside the crossing


def test_frames_to_a_port_outside_are_copied_once(harness: MakeHarness) -> None:
    made = harness(crossing=True)
    left = made.connect(0, peer=1, crosses=True)
    right = made.connect(1, peer=0, driver=MMSG)
    frames = [frame(n, length) for n, length in enumerate((14, 60, 128, 129, 1514, 700))]
    inside(made, left).bring(*frames)
    made.settle()
    assert right.receive(0) == frames
    assert module_of(made).copied == 3  # what a cell shows whole needs no call
    assert not module_of(made).members[0].held


def test_the_offload_header_goes_along_with_a_copy(harness: MakeHarness) -> None:
    made = harness(crossing=True)
    left = made.connect(0, peer=1, crosses=True, header_bytes=VNET_HDR_BYTES)
    right = made.connect(1, peer=0, driver=MMSG, header_bytes=VNET_HDR_BYTES)
    data, header = gso_frame(tcp(4_000), 1000)
    undone, request, _ = left_to_the_device(tcp(90))
    inside(made, left).bring(data, header=header)
    inside(made, left).bring(undone, header=request)
    made.settle()
    assert [right.outside[0].recv(1 << 17) for _ in range(2)] == [header + data, request + undone]


def test_a_port_outside_that_takes_no_offload_gets_packets(harness: MakeHarness) -> None:
    made = harness(crossing=True)
    left = made.connect(0, peer=1, crosses=True)
    right = made.connect(1, peer=0, driver=MMSG)
    undone, request, done = left_to_the_device(tcp(90))
    data, header = gso_frame(tcp(4_000), 1000)
    inside(made, left).bring(undone, header=request)
    inside(made, left).bring(data, header=header)
    made.settle()
    packets = right.receive(0)
    assert packets[0] == done
    assert len(packets) == 5


def test_a_port_of_the_crossing_that_takes_no_offload_gets_complete_frames(harness: MakeHarness) -> None:
    """Frames that may request one don't cross to it. The socket here is none of the module's, and says so."""
    made = harness(crossing=True)
    left = made.connect(0, peer=1, crosses=True, header_bytes=VNET_HDR_BYTES)
    right = made.connect(1, peer=0, crosses=True)
    undone, request, done = left_to_the_device(tcp(90))
    inside(made, left).bring(undone, header=request)
    made.settle()
    assert inside(made, right).sent == []
    assert right.receive(0) == [done]
    assert made.drops(1) == {"tx_error": 1}
    inside(made, right).bring(frame(1))
    made.settle()
    assert inside(made, left).sent == [frame(1)]


def test_copies_are_steered_to_the_worker_of_their_flow(harness: MakeHarness) -> None:
    made = harness(2, crossing=True, steering="flow")
    left = made.connect(0, peer=1, crosses=True)
    right = made.connect(1, peer=0, driver=MMSG)
    flows = {flow: [udp_frame(flow, 80, bytes([flow, n]) * 100) for n in range(5)] for flow in range(16)}
    for frames in flows.values():
        inside(made, left, 0).bring(*frames)
    made.settle()
    got = [right.receive(queue) for queue in range(2)]
    assert all(got)
    for frames in flows.values():
        assert any([data for data in queue if data in frames] == frames for queue in got)
    assert made.ring_out(0, 1).pushed == len(got[1])


def test_a_flood_crosses_and_is_copied_once_for_each_worker(harness: MakeHarness) -> None:
    made = harness(2, crossing=True, mode="bridge", steering="flow")
    ports = [made.connect(p, crosses=True) for p in range(3)]
    outside = [made.connect(p, driver=MMSG, queues=1 + p % 2) for p in range(3, 6)]
    frames = [udp_frame(n, 80, bytes([n]) * 200) for n in range(20)]
    frames = [b"\xff" * 6 + data[6:] for data in frames]
    inside(made, ports[0], 0).bring(*frames)
    made.settle()
    assert inside(made, ports[0], 0).sent == inside(made, ports[0], 1).sent == []
    for port in ports[1:]:
        assert inside(made, port, 0).sent == frames
    for port in outside:
        assert sorted(port.receive_all()) == sorted(frames)
    assert module_of(made).copied == len(frames)


@pytest.mark.parametrize("outputs", ["port", "flood"])
def test_a_frame_that_cannot_be_copied_is_dropped(harness: MakeHarness, outputs: str) -> None:
    flood = outputs == "flood"
    made = harness(crossing=True, mode="bridge" if flood else "xconnect")
    left = made.connect(0, peer=1, crosses=True)
    right = made.connect(1, peer=0, driver=MMSG)
    third = inside(made, made.connect(2, crosses=True))
    module_of(made).refuses_copies = True
    data = [frame(1, 500), frame(2, 60)]
    inside(made, left).bring(*data)
    made.settle()
    assert right.receive(0) == [data[1]]
    assert made.drops(0) == {"no_frame": 1}
    assert third.sent == (data if flood else [])


def test_without_a_free_frame_copies_are_dropped_and_others_cross(harness: MakeHarness) -> None:
    made = harness(2, crossing=True, mode="bridge", frames=64, slots=64, batch=32)
    left = made.connect(0, crosses=True)
    inner = inside(made, made.connect(1, crosses=True), 1)
    outer = made.connect(2, driver=MMSG, queues=1)
    frames = [frame(n, 200, dst=b"\xff" * 6) for n in range(200)]
    inside(made, left, 1).bring(*frames)
    for _ in range(20):
        made.step(1)  # worker 0 consumes nothing
    assert made.worker_stats(1).pool_empty_rounds > 0
    assert inner.sent == frames, "no frame that crosses waits for the pool"
    made.settle()
    copied = outer.receive(0)
    assert copied == frames[: len(copied)]
    assert made.drops(0) == {"no_frame": 200 - len(copied)}


# ---------------------------------------------------------------------------------- coming and going


def test_a_stop_sends_what_waits_and_names_the_rest(harness: MakeHarness) -> None:
    made, left, right = pair(harness)
    left.bring(frame(1))
    made.step()
    left.bring(frame(2), frame(3))
    lib.ttf_run_state_set(made.rings, 0, lib.TTF_RUN_STATE_DRAIN)
    while lib.ttf_run_state_seen(made.rings, 0) != lib.TTF_RUN_STATE_DRAIN:
        made.step()
    assert right.sent == [frame(1), frame(2), frame(3)]
    left.bring(frame(4))
    lib.ttf_run_state_set(made.rings, 0, lib.TTF_RUN_STATE_STOP)
    assert made.run(0, 10**9) == lib.TTF_RUN_STOPPED
    assert made.drops(0) == {"shutdown": 1}
    assert not module_of(made).members[0].held


def test_a_deleted_port_is_emptied_first_and_no_longer_listened_to(harness: MakeHarness) -> None:
    made, left, right = pair(harness)
    member = module_of(made).members[0]
    assert member.listens == {1, 2}
    left.bring(*(frame(n) for n in range(300)))
    made.disconnect(0)
    assert right.sent == [frame(n) for n in range(300)]
    assert member.listens == {2}


def test_a_device_that_is_gone_stops_its_queue_alone(harness: MakeHarness) -> None:
    made, left, right = pair(harness)
    left.gone = True
    right.bring(frame(1))
    made.step()
    assert lib.ttf_worker_queue_error(made.live[0], 0) == errno.EBADFD
    assert lib.ttf_worker_queue_error(made.live[0], 1) == 0
    assert module_of(made).members[0].listens == {2}
    assert left.sent == [frame(1)]


def test_a_port_without_a_member_is_refused(harness: MakeHarness) -> None:
    made = harness()
    config = ffi.new("struct ttf_port_config *")
    config.queues, config.mtu, config.peer, config.fd = 1, 1500, -1, 0
    config.driver = lib.TTF_DRIVER_TURBOTAP_ZEROCOPY
    assert lib.ttf_worker_attach(made.live[0], config) == -errno.EINVAL
    config.driver, config.crossing_port = MMSG, 1
    assert lib.ttf_worker_attach(made.live[0], config) == -errno.EINVAL


@pytest.mark.parametrize("slots", [1, 63])
def test_a_member_with_less_slots_than_a_burst_is_refused(harness: MakeHarness, slots: int) -> None:
    made = harness(batch=64)
    assert lib.ttf_worker_join(made.live[0], 0, 0, slots) == -errno.EINVAL


# ------------------------------------------------------------------------------------------- deaths


def dies(made: Harness, when: Callable[[], None]) -> bytes:
    """Run worker 0 in a process that ends where `when` says so. What it wrote into the pipe of `when`."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            os.dup2(writing, 0)
            when()
            for _ in range(20):
                made.step(0)
        finally:
            os._exit(1)
    os.close(writing)
    with open(reading, "rb") as said:
        found = said.read()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    made.kill(0)
    return found


@pytest.mark.parametrize("after", [False, True], ids=["before-the-call", "after-the-call"])
@pytest.mark.parametrize("call", range(1, 8))
def test_a_crash_loses_what_the_worker_held_and_nothing_else(
    harness: MakeHarness, after: bool, call: int
) -> None:
    """It dies in each of its calls: the kernel has sent, and nothing was counted; or the other way round."""
    made, left, right = pair(harness, batch=4)
    left.bring(*(frame(n) for n in range(10)))
    right.bring(*(frame(n) for n in range(100, 103)))
    module = module_of(made)

    def die() -> None:
        if len(module.calls) == call:
            brought = sum(received for _, received in module.calls)
            os.write(0, struct.pack("III", brought, len(right.sent), len(left.sent)))
            os._exit(0)

    def arm() -> None:
        if after:
            module.after_call = die
        else:
            module.before_call = die

    brought, to_right, to_left = struct.unpack("III", dies(made, arm))
    lost = made.recover(0)
    counted = [made.queue(port) for port in (0, 1)]
    assert sum(c.rx_packets for c in counted) == brought
    assert (made.queue(1).tx_packets, made.queue(0).tx_packets) == (to_right, to_left)
    assert lost == brought - to_right - to_left
    lib.ttf_run_state_reset(made.rings, 0)
    made.new_worker(0)
    left.bring(frame(200))
    made.settle()
    assert frame(200) in right.sent


def test_a_crash_after_the_notes_is_counted_once(harness: MakeHarness) -> None:
    """It dies when some of the counters that it has noted are written, and others not."""
    made, left, right = pair(harness)
    left.bring(*(frame(n) for n in range(10)))
    made.step()
    made.step()
    assert len(right.sent) == 10
    made.damage(0)
    notes = lib.ttf_rings_crossing_notes(made._views[0][1], 0)
    first = ffi.cast("uint64_t *", lib.ttf_stats_worker(made.stats, 0))
    counters = made.queue(1)
    words = [
        ffi.cast("uint64_t *", ffi.addressof(counters, name)) - first for name in ("tx_packets", "tx_bytes")
    ]
    for i, (word, more) in enumerate(zip(words, (0, 60), strict=True)):  # the first is written already
        notes.changes[i].word, notes.changes[i].value = word, first[word] + more
    notes.changed = 2
    before = counters.tx_bytes
    made.kill(0)
    assert made.recover(0) == 0
    assert (counters.tx_packets, counters.tx_bytes) == (10, before + 60)
    assert (notes.changed, notes.calls) == (0, 0)


def test_a_noted_change_that_no_call_can_make_is_not_made(harness: MakeHarness) -> None:
    made, left, right = pair(harness)
    left.bring(*(frame(n) for n in range(10)))
    made.settle()
    made.damage(0)
    notes = lib.ttf_rings_crossing_notes(made._views[0][1], 0)
    first = ffi.cast("uint64_t *", lib.ttf_stats_worker(made.stats, 0))
    notes.changes[0].word = ffi.cast("uint64_t *", ffi.addressof(made.queue(1), "tx_packets")) - first
    notes.changes[0].value = 2**62
    notes.changed = 1
    made.kill(0)
    assert made.recover(0) == 0
    assert made.queue(1).tx_packets == len(right.sent) == 10


def test_notes_and_lists_that_were_spoilt_harm_nobody(harness: MakeHarness) -> None:
    """The supervisor reads what a hostile worker left: whatever it is, other workers' counters stay."""
    made, left, _ = pair(harness, workers=2)
    left.bring(frame(1))
    made.settle()
    before = bytes(ffi.buffer(made.worker_stats(1), 4096))
    notes = lib.ttf_rings_crossing_notes(made._views[0][1], 0)
    member = module_of(made).members[0]
    ffi.buffer(notes)[:] = b"\xff" * ffi.sizeof("struct ttf_crossing_notes")
    ffi.buffer(member.lists)[:] = b"\xff" * ffi.sizeof("struct turbotap_lists")
    for calls in (0xFFFFFFFF, 0):  # as many as are noted; one more
        member.lists.calls = calls
        assert lib.ttf_recover_crossing(made.guard, made.rings, 0, member.fd) == 0
        notes.calls, notes.in_port = 0xFFFFFFFF, 3
        notes.changed = 0xFFFFFFFF
    assert bytes(ffi.buffer(made.worker_stats(1), 4096)) == before
    made.conserves = False
    notes.calls = notes.changed = 0
    ffi.buffer(member.lists)[:] = bytes(ffi.sizeof("struct turbotap_lists"))
    made.kill(0)
    made.revive(0)

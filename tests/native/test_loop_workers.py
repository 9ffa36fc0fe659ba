# SPDX-License-Identifier: Apache-2.0
"""Several workers: packets cross the rings between them, and no worker trusts data that others wrote."""

from __future__ import annotations

import random
import threading
from collections import defaultdict
from typing import Any

import pytest

from tests.native.conftest import MakeHarness
from tests.native.ext import lib
from tests.native.harness import (
    FRAME_MAX_BYTES,
    MS,
    Harness,
    SocketPort,
    frame,
    mac,
    udp_frame,
)
from tests.support.offloads import VNET_HDR_BYTES

STARTS = pytest.mark.parametrize("start", [0, 2**32 - 3], ids=["start0", "wrap"])


# --------------------------------------------------------------------------------------------- steering


def test_queue_to_queue_needs_no_ring(harness: MakeHarness) -> None:
    made = harness(4)
    left, right = made.pair()
    sent = {q: [frame(100 * q + n) for n in range(9)] for q in range(4)}
    out = made.pump([(left, q, sent[q][n]) for n in range(9) for q in range(4)])
    assert {q: out[1, q] for q in range(4)} == sent
    assert all(made.ring_out(a, b).pushed == 0 for a in range(4) for b in range(4))
    for q in range(4):
        assert made.queue(0, q).rx_packets == made.queue(1, q).tx_packets == 9
    assert right.queues == 4


@STARTS
def test_a_port_with_fewer_queues_gets_its_packets_through_rings(harness: MakeHarness, start: int) -> None:
    made = harness(4, start=start)
    left = made.connect(0, peer=1)
    made.connect(1, peer=0, queues=2)
    sent = {q: [frame(100 * q + n, 60 + n) for n in range(20)] for q in range(4)}
    out = made.pump([(left, q, sent[q][n]) for n in range(20) for q in range(4)])
    for q in range(2):
        for source in (q, q + 2):
            mine = [data for data in out[1, q] if data in sent[source]]
            assert mine == sent[source], "each once, in order"
    assert len(out[1, 0]) == len(out[1, 1]) == 40
    for source, to in ((2, 0), (3, 1)):
        assert made.ring_out(source, to).pushed == made.ring_in(source, to).popped == 20
        assert made.ring(source, to).producer.tail == (start + 20) % 2**32


@STARTS
@pytest.mark.parametrize("header_bytes", [0, VNET_HDR_BYTES])
def test_both_directions_of_a_flow_meet_at_one_worker(
    harness: MakeHarness, start: int, header_bytes: int
) -> None:
    made = harness(4, steering="flow", start=start)
    left, right = made.pair(header_bytes=header_bytes)
    rng = random.Random(1)
    offered: list[tuple[SocketPort, int, bytes]] = []
    flows = range(40000, 40064)
    for n in range(10):
        for flow in flows:
            payload = flow.to_bytes(4, "big") + n.to_bytes(4, "big")
            offered.append((left, rng.randrange(4), udp_frame(flow, 80, payload)))
            offered.append((right, rng.randrange(4), udp_frame(flow, 80, payload, reverse=True)))
    out = made.pump(offered)
    owner: dict[int, set[int]] = defaultdict(set)
    received: dict[tuple[int, int], int] = defaultdict(int)
    for (slot, queue), got in out.items():
        for data in got:
            flow = int.from_bytes(data[42:46], "big")
            assert data == udp_frame(flow, 80, data[42:], reverse=slot == 0)
            owner[flow].add(queue)
            received[slot, flow] += 1
    assert all(len(owners) == 1 for owners in owner.values())
    assert set.union(*owner.values()) == {0, 1, 2, 3}, "flows spread over the workers"
    assert all(received[slot, flow] == 10 for slot in (0, 1) for flow in flows)


def test_flows_keep_their_order_through_rings(harness: MakeHarness) -> None:
    made = harness(3, steering="flow", slots=16)
    left, _right = made.pair()
    rng = random.Random(2)
    queue_of = {flow: rng.randrange(3) for flow in range(50000, 50030)}
    offered = [
        (left, queue_of[flow], udp_frame(flow, 9, n.to_bytes(4, "big")))
        for n in range(40)
        for flow in queue_of
    ]
    out = made.pump(offered)
    last: dict[bytes, int] = {}
    count = 0
    for queue in range(3):
        for data in out[1, queue]:
            n = int.from_bytes(data[42:46], "big")
            assert last.get(data[34:36], -1) == n - 1
            last[data[34:36]] = n
            count += 1
    assert count == len(offered)


@pytest.mark.parametrize("left_queues", [1, 2, 3, 4])
@pytest.mark.parametrize("right_queues", [1, 2, 3, 4])
def test_flow_owner_is_the_same_whichever_port_has_fewer_queues(
    harness: MakeHarness, left_queues: int, right_queues: int
) -> None:
    made = harness(4, steering="flow")
    left = made.connect(0, peer=1, queues=left_queues)
    right = made.connect(1, peer=0, queues=right_queues)
    offered = []
    for flow in range(40000, 40032):
        offered.append((left, flow % left_queues, udp_frame(flow, 80, b"x")))
        offered.append((right, flow % right_queues, udp_frame(flow, 80, b"x", reverse=True)))
    out = made.pump(offered)
    owners: dict[int, list[int]] = defaultdict(list)
    for (slot, queue), got in out.items():
        for data in got:
            flow = int.from_bytes(data[36:38] if slot == 0 else data[34:36], "big")
            owners[flow].append(queue)
    assert len(owners) == 32
    assert all(len(each) == 2 and len(set(each)) == 1 for each in owners.values())


def test_macswap_with_flow_steering(harness: MakeHarness) -> None:
    made = harness(4, mode="macswap", steering="flow")
    port = made.connect(0)
    sent = [udp_frame(flow, 80, b"x") for flow in range(100)]
    out = made.pump([(port, n % 4, data) for n, data in enumerate(sent)])
    got = sorted(data for queue in range(4) for data in out[0, queue])
    assert got == sorted(data[6:12] + data[:6] + data[12:] for data in sent)


# ------------------------------------------------------------------------------------------- full rings


def one_way(harness: MakeHarness, **settings: Any) -> tuple[Harness, SocketPort, SocketPort]:
    """Two workers: worker 0 must send the frames that worker 1 receives on port 0."""
    made = harness(2, **settings)
    return made, made.connect(0, peer=1), made.connect(1, peer=0, queues=1)


@STARTS
def test_a_full_ring_drops_the_newest_and_counts(harness: MakeHarness, start: int) -> None:
    made, left, right = one_way(harness, slots=8, start=start)
    sent = [frame(n) for n in range(11)]
    left.send(1, *sent)
    made.step(1)
    assert made.waiting() == 8
    assert made.drops(0) == {"ring_full": 3}
    assert made.ring_out(1, 0).dropped == 3
    made.check_conservation()
    made.settle()
    assert right.receive(0) == sent[:8]
    left.send(1, frame(99))
    made.settle()
    assert right.receive(0) == [frame(99)], "once its consumer is back, a ring forwards again"


def test_a_stalled_consumer_does_not_take_the_pool(harness: MakeHarness) -> None:
    """A consumer that holds a ring's worth of frames must not stop the worker's other traffic."""
    made = harness(2, slots=8, frames=16, batch=4)
    left = made.connect(0, peer=1)
    right = made.connect(1, peer=0, queues=1)
    other = made.connect(2, peer=3)
    fourth = made.connect(3, peer=2)
    left.send(1, *(frame(n) for n in range(30)))
    for _ in range(10):
        made.step(1)
    assert made.waiting() == 8
    other.send(1, *(frame(1000 + n) for n in range(5)))
    for _ in range(5):
        made.step(1)
    assert fourth.receive(1) == [frame(1000 + n) for n in range(5)]
    made.settle()
    assert right.receive(0) == [frame(n) for n in range(8)]
    assert made.drops(0) == {"ring_full": 22}


def test_an_exhausted_pool_leaves_packets_in_the_device(harness: MakeHarness) -> None:
    made, left, right = one_way(harness, slots=64, frames=8)
    sent = [frame(n) for n in range(20)]
    left.send(1, *sent)
    made.step(1, 1, 1)
    assert made.waiting() == 8
    assert made.worker_stats(1).pool_empty_rounds == 2
    assert made.all_drops() == {}
    made.settle()
    assert right.receive(0) == sent


# -------------------------------------------------------------------------------------- untrusted rings


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("frame_id", 256),
        ("frame_id", 2**32 - 1),
        ("length", 0),
        ("length", 13),
        ("length", FRAME_MAX_BYTES + 1),
        ("length", 2**32 - 1),
        ("in_port", lib.TTF_MAX_PORTS),
        ("in_port", 255),
        ("out_port", lib.TTF_MAX_PORTS),
        ("out_port", 255),
    ],
)
@pytest.mark.parametrize("flood", [0, lib.TTF_DESC_FLOOD])
def test_forged_descriptor_is_refused_by_name(
    harness: MakeHarness, field: str, value: int, flood: int
) -> None:
    made, left, right = one_way(harness)
    sent = [frame(n) for n in range(3)]
    left.send(1, *sent)
    made.step(1)
    forged = descriptor(made.ring(1, 0), 1)
    was = getattr(forged, field)
    setattr(forged, field, value)
    forged.flags = flood
    made.step(0)
    setattr(forged, field, was)  # so that the check at the end finds the frame
    assert right.receive(0) == [sent[0], sent[2]]
    assert made.orphan_drops() == {"bad_desc": 1}
    assert made.ring_in(1, 0).bad == 1


def descriptor(ring: Any, i: int) -> Any:
    """The i-th slot that the consumer hasn't completed, writable."""
    return lib.ring_slot(ring, (ring.consumer.head - ring.producer.tail + i) % 2**32)


@pytest.mark.parametrize("flood", [0, lib.TTF_DESC_FLOOD])
def test_descriptor_of_another_generation_finds_no_port(harness: MakeHarness, flood: int) -> None:
    """While a packet waits, its port may be deleted and the port id given to another port."""
    made, left, right = one_way(harness)
    left.send(1, frame(0), frame(1))
    made.step(1)
    stale = descriptor(made.ring(1, 0), 0)
    stale.flags = flood
    stale.in_generation, stale.out_generation = stale.in_generation + 1, stale.out_generation + 1
    made.settle()
    assert right.receive(0) == [frame(1)]
    assert made.orphan_drops() == {"no_port": 1}


def test_descriptor_for_a_queue_of_another_worker_finds_no_port(harness: MakeHarness) -> None:
    made = harness(3)
    left = made.connect(0, peer=1)
    right = made.connect(1, peer=0, queues=2)
    left.send(2, frame(0))
    made.step(2)
    # Port 1 has a queue at worker 0; a third port has none there.
    made.connect(5, queues=1)
    descriptor(made.ring(2, 0), 0).out_port = 7
    made.settle()
    assert right.receive_all() == []
    assert made.orphan_drops() == {"no_port": 1}


def test_frame_numbers_that_lie_never_reach_the_pool(harness: MakeHarness) -> None:
    made, left, right = one_way(harness, slots=8, frames=32)
    left.send(1, *(frame(n) for n in range(4)))
    made.settle()
    assert len(right.receive(0)) == 4
    ring = made.ring(1, 0)
    lib.ttf_worker_run(made.live[1], 0, lib.ttf_worker_attention(made.live[1]) ^ 1)
    held = made.held(1, 0)
    slots = [
        lib.ring_slot(ring, (ring.producer.reclaimed - ring.producer.tail + i) % 2**32)
        for i in range(len(held))
    ]
    for slot in slots:
        slot.frame_id = 0xFFFFFFFF
    made.run(1, MS)  # idle: reclaims
    sent = [frame(100 + n) for n in range(60)]
    out = made.pump([(left, 1, data) for data in sent])
    assert out[1, 0] == sent
    # A new incarnation recovers every frame.
    made.kill(1)
    made.revive(1)


GARBAGE = pytest.mark.parametrize("garbage", [1, 5, 9, 1000, 2**31, 2**32 - 1])


@STARTS
@GARBAGE
def test_a_tail_that_lies_does_not_stop_the_consumer(harness: MakeHarness, start: int, garbage: int) -> None:
    made, left, right = one_way(harness, slots=8, start=start)
    left.send(1, *(frame(n) for n in range(3)))
    made.settle()
    assert len(right.receive(0)) == 3
    ring, good = made.ring(1, 0), made.ring(1, 0).producer.tail
    ring.producer.tail = (good + garbage) % 2**32
    left.send(0, frame(99))
    made.step(0, 0, 0)
    assert frame(99) in right.receive(0)
    ring.producer.tail = ring.consumer.head = ring.consumer.claimed = good
    made.conserves = False  # the test invented packets


@STARTS
@GARBAGE
def test_a_head_that_lies_frees_nothing_and_does_not_stop_the_producer(
    harness: MakeHarness, start: int, garbage: int
) -> None:
    made, left, right = one_way(harness, slots=8, frames=16, start=start)
    sent = [frame(n) for n in range(8)]
    left.send(1, *sent[:4])
    made.settle()
    left.send(1, *sent[4:])
    made.step(1)
    ring, good = made.ring(1, 0), made.ring(1, 0).consumer.head
    ring.consumer.head = (good + 8 + garbage) % 2**32 if garbage < 1000 else (good + garbage) % 2**32
    port = made.connect(4, peer=5)
    out = made.connect(5, peer=4)
    for n in range(30):
        port.send(1, frame(1000 + n))
        made.step(1)
        assert out.receive(1) == [frame(1000 + n)]
    ring.consumer.head = good
    made.settle()
    assert right.receive(0) == sent, "no waiting frame was reused"


# ------------------------------------------------------------------------------------------------ flood


@pytest.mark.parametrize("steering", ["queue", "flow"])
@pytest.mark.parametrize("queues", [(4, 4, 4), (4, 2, 1), (1, 4, 3), (2, 1, 1), (3, 4, 2)])
@pytest.mark.parametrize("header_bytes", [0, VNET_HDR_BYTES])
def test_flood_reaches_every_other_port_once(
    harness: MakeHarness, steering: str, queues: tuple[int, ...], header_bytes: int
) -> None:
    made = harness(4, mode="bridge", steering=steering)
    ports = [made.connect(slot, queues=n, header_bytes=header_bytes) for slot, n in enumerate(queues)]
    sent: dict[int, list[bytes]] = {port.port_id: [] for port in ports}
    offered = []
    for n in range(24):
        for port in ports:
            data = b"\xff" * 6 + udp_frame(n, 1000 + port.port_id, bytes([n] * 30))[6:]
            data = data[:6] + mac(port.port_id + 1) + data[12:]
            sent[port.port_id].append(data)
            offered.append((port, n % port.queues, data))
    out = made.pump(offered)
    for port in ports:
        got = sorted(data for queue in range(port.queues) for data in out[port.port_id, queue])
        assert got == sorted(data for other in sent if other != port.port_id for data in sent[other])
    assert made.all_drops() == {}
    copied = sum(made.worker_stats(w).orphans.copied_packets for w in range(4))
    assert copied == 24 * len(ports) * (len(ports) - 2)


def test_flood_without_another_port_has_a_name(harness: MakeHarness) -> None:
    made = harness(2, mode="bridge")
    port = made.connect(0)
    port.send(0, frame(1))
    made.settle()
    assert made.drops(0) == {"no_port": 1}


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_flood_without_a_free_frame_loses_copies_by_name(harness: MakeHarness, frames: int) -> None:
    made = harness(4, mode="bridge", frames=frames, batch=4)
    ports = [made.connect(0), made.connect(1, queues=1), made.connect(2, queues=2), made.connect(3)]
    ports[0].send(3, frame(1, dst=b"\xff" * 6))
    made.settle()
    got = [port.receive_all() for port in ports]
    assert got[3] == [frame(1, dst=b"\xff" * 6)], "the worker's own outputs need no copy"
    # Workers 0 and 1 need a copy each; the frame itself stays at worker 3.
    copies = min(frames - 1, 2)
    assert len(got[1]) + len(got[2]) == copies
    assert made.all_drops() == ({} if copies == 2 else {"no_frame": 2 - copies})


def test_flood_into_a_full_ring_loses_one_copy_by_name(harness: MakeHarness) -> None:
    made = harness(2, mode="bridge", slots=2)
    first, second, third = made.connect(0), made.connect(1, queues=1), made.connect(2)
    first.send(1, *(frame(n, dst=b"\xff" * 6) for n in range(5)))
    made.step(1)
    made.settle()
    assert len(third.receive(1)) == 5
    assert second.receive(0) == [frame(n, dst=b"\xff" * 6) for n in range(2)]
    assert made.drops(0) == {"ring_full": 3}


def test_bridge_learns_across_workers(harness: MakeHarness) -> None:
    made = harness(4, mode="bridge")
    ports = [made.connect(slot) for slot in range(4)]
    ports[2].send(3, frame(1, src=mac(7), dst=b"\xff" * 6))
    made.settle()
    for port in ports:
        port.receive_all()
    for queue in range(4):
        ports[0].send(queue, frame(queue, src=mac(8), dst=mac(7)))
    made.settle()
    assert [port.receive_all() for port in (ports[0], ports[1], ports[3])] == [[], [], []]
    assert [ports[2].receive(queue) for queue in range(4)] == [
        [frame(queue, src=mac(8), dst=mac(7))] for queue in range(4)
    ]


# ----------------------------------------------------------------------------------------- conservation


@pytest.mark.parametrize("seed", range(6))
@STARTS
def test_every_packet_is_accounted_for(harness: MakeHarness, seed: int, start: int) -> None:
    """Random traffic, modes, queues and stalls: the conservation equation holds at every check."""
    rng = random.Random(seed)
    made = harness(
        4,
        mode=rng.choice(["xconnect", "bridge", "bridge", "macswap"]),
        steering=rng.choice(["queue", "flow"]),
        slots=rng.choice([4, 16, 64]),
        frames=rng.choice([24, 80]),
        batch=rng.choice([1, 7, 32]),
        start=start,
    )
    ports = [
        made.connect(slot, queues=rng.randint(1, 4), peer=slot ^ 1, header_bytes=rng.choice([0, 10]))
        for slot in range(4)
    ]
    for port in ports:
        if rng.random() < 0.3:
            port.shrink(rng.randrange(port.queues))
    offered = received = 0
    for _ in range(400):
        port = rng.choice(ports)
        length = rng.choice([4, 14, 60, 60, 60, 1514, 1515])
        station = rng.randrange(6)
        data = frame(offered, length, dst=rng.choice([mac(rng.randrange(6)), b"\xff" * 6]), src=mac(station))
        if length == 60 and rng.random() < 0.5:
            data = udp_frame(rng.randrange(100), 80, data[42:])
        offered += port.offer(rng.randrange(port.queues), data)
        if rng.random() < 0.3:
            made.step(*rng.sample(range(4), rng.randint(1, 3)))
            made.check_conservation()
        if rng.random() < 0.1:
            received += sum(len(port.receive_all()) for port in ports)
    made.settle()
    received += sum(len(port.receive_all()) for port in ports)
    assert made.waiting() == 0
    assert sum(made.total(slot, "rx_packets") for slot in range(4)) == offered
    assert sum(made.total(slot, "tx_packets") for slot in range(4)) == received


@pytest.mark.parametrize("rx_mode", ["polling", "interrupt", "adaptive"])
def test_workers_side_by_side(harness: MakeHarness, rx_mode: str) -> None:
    """Workers in threads, as they run in processes: sleeping workers never lose or reorder a frame."""
    made = harness(3, steering="flow", rx_mode=rx_mode, slots=64, frames=512)
    left, right = made.pair()
    stop = threading.Event()

    def work(w: int) -> None:
        while not stop.is_set():
            made.run(w, 20 * MS)

    threads = [threading.Thread(target=work, args=(w,)) for w in range(3)]
    for thread in threads:
        thread.start()
    got: list[bytes] = []
    sent = 0
    try:
        rng = random.Random(3)
        while sent < 6000:
            for _ in range(rng.randint(1, 16)):
                flow = sent % 24
                assert left.offer(flow % 3, udp_frame(flow, 80, sent.to_bytes(4, "big")))
                sent += 1
            # No more frames in flight than the rings hold, so no drop is allowed.
            while sent - len(got) > 32:
                got += right.receive_all()
        while len(got) < sent:
            got += right.receive_all()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    last: dict[bytes, int] = {}
    for data in got:
        n = int.from_bytes(data[42:46], "big")
        assert last.get(data[34:36], -1) < n
        last[data[34:36]] = n
    assert len(set(got)) == sent
    assert made.all_drops() == {}

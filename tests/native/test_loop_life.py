# SPDX-License-Identifier: Apache-2.0
"""A worker's life: run states, drain and stop, sleep and doorbells, detached ports, deaths and recovery."""

from __future__ import annotations

import ctypes
import errno
import os
import random
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.native.conftest import MakeHarness
from tests.native.ext import ffi, lib
from tests.native.harness import EPOCH, MS, Harness, SocketPort, frame, mac, udp_frame

PR_SET_PDEATHSIG = 1
RUN, DRAIN, STOP = lib.TTF_RUN_STATE_RUN, lib.TTF_RUN_STATE_DRAIN, lib.TTF_RUN_STATE_STOP


def one_way(harness: MakeHarness, **settings: Any) -> tuple[Harness, SocketPort, SocketPort]:
    """Two workers: worker 0 must send the frames that worker 1 receives on port 0."""
    made = harness(2, **settings)
    return made, made.connect(0, peer=1), made.connect(1, peer=0, queues=1)


def wait_for(happened: Callable[[], bool]) -> None:
    """Wait for another thread or process. Fails only on a hang."""
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline, "never happened"
        time.sleep(0.0005)


@contextmanager
def running(made: Harness, w: int, slice_ns: int, attention: int | None = None) -> Iterator[list[int]]:
    """Run worker w in a thread for one slice. The list gets the return value of ttf_worker_run()."""
    ends: list[int] = []
    seen = lib.ttf_worker_attention(made.live[w]) if attention is None else attention
    thread = threading.Thread(
        target=lambda: ends.append(int(lib.ttf_worker_run(made.live[w], slice_ns, seen)))
    )
    thread.start()
    try:
        yield ends
    finally:
        thread.join()


# -------------------------------------------------------------------------------------------- slices


def test_a_slice_ends_by_itself(harness: MakeHarness) -> None:
    made = harness()
    assert made.run(0, MS) == lib.TTF_RUN_SLICE
    stats = made.worker_stats()
    assert stats.rounds > 0
    assert stats.heartbeat_ns > 0
    assert stats.running_ns >= stats.busy_ns


def test_time_is_counted_as_busy_only_with_packets(harness: MakeHarness) -> None:
    made = harness()
    left, _right = made.pair()
    made.run(0, MS)
    assert made.worker_stats().busy_ns == 0
    left.send(0, frame(1))
    made.run(0, MS)
    assert 0 < made.worker_stats().busy_ns <= made.worker_stats().running_ns


def test_cpu_time_goes_on_in_the_next_incarnation(harness: MakeHarness) -> None:
    made = harness()
    made.worker_stats().cpu_ns = 10**11
    made.kill(0)
    made.revive(0)
    made.run(0, MS)
    assert made.worker_stats().cpu_ns > 10**11


def test_attention_ends_the_slice_and_is_never_overlooked(harness: MakeHarness) -> None:
    made = harness(rx_mode="interrupt")
    seen = lib.ttf_worker_attention(made.live[0])
    lib.ttf_run_state_attention(made.rings, 0)
    # The message came after the check of the channel and before the slice: no sleep of an hour.
    assert lib.ttf_worker_run(made.live[0], 3600 * 1000 * MS, seen) == lib.TTF_RUN_ATTENTION
    assert made.worker_stats().sleeps == 0


def test_attention_and_doorbell_wake_a_sleeper(harness: MakeHarness) -> None:
    made = harness(rx_mode="interrupt")
    with running(made, 0, 3600 * 1000 * MS) as ends:
        wait_for(lambda: made.words(0).sleeping == 1)
        lib.ttf_run_state_attention(made.rings, 0)
        os.eventfd_write(made.doorbells[0], 1)
    assert ends == [lib.TTF_RUN_ATTENTION]
    assert made.words(0).sleeping == 0
    with pytest.raises(BlockingIOError):
        os.eventfd_read(made.doorbells[0])


# ------------------------------------------------------------------------------------- drain and stop


def test_drain_forwards_what_waits_and_then_receives_no_more(harness: MakeHarness) -> None:
    made = harness()
    left, right = made.pair()
    left.send(0, *(frame(n) for n in range(40)))
    lib.ttf_run_state_set(made.rings, 0, DRAIN)
    made.step()
    assert lib.ttf_run_state_seen(made.rings, 0) == RUN, "a draining worker still receives"
    made.step()
    assert lib.ttf_run_state_seen(made.rings, 0) == DRAIN
    assert right.receive(0) == [frame(n) for n in range(40)]
    left.send(0, frame(100))
    made.step(0, 0)
    assert right.receive(0) == []
    assert made.total(0, "rx_packets") == 40


def test_stop_drops_the_kernels_leftovers_by_name(harness: MakeHarness) -> None:
    made = harness(frames=16, batch=16)
    left, right = made.pair()
    lib.ttf_run_state_set(made.rings, 0, DRAIN)
    made.step()
    assert lib.ttf_run_state_seen(made.rings, 0) == DRAIN
    left.send(0, *(frame(n) for n in range(50)))
    lib.ttf_run_state_set(made.rings, 0, STOP)
    assert made.run(0, 1000 * MS) == lib.TTF_RUN_STOPPED
    assert lib.ttf_run_state_seen(made.rings, 0) == STOP
    assert right.receive(0) == []
    assert made.drops(0) == {"shutdown": 50}
    assert made.total(0, "rx_packets") == 50


def test_stop_without_drain_loses_nothing(harness: MakeHarness) -> None:
    made = harness()
    left, right = made.pair()
    left.send(0, *(frame(n) for n in range(100)))
    lib.ttf_run_state_set(made.rings, 0, STOP)
    assert made.run(0, 1000 * MS) == lib.TTF_RUN_STOPPED
    assert right.receive(0) == [frame(n) for n in range(100)]


def test_drain_lets_the_rings_run_dry(harness: MakeHarness) -> None:
    """As the supervisor does: all drain, all have seen it, rings are empty, all stop."""
    made = harness(4, steering="flow")
    left, right = made.pair()
    sent = [udp_frame(n, 80, bytes(20)) for n in range(80)]
    for n, data in enumerate(sent):
        left.send(n % 4, data)
    for w in range(4):
        lib.ttf_run_state_set(made.rings, w, DRAIN)
    made.step(3)
    assert lib.ttf_rings_waiting(made.rings) > 0
    while any(lib.ttf_run_state_seen(made.rings, w) != DRAIN for w in range(4)):
        made.step()
    while lib.ttf_rings_waiting(made.rings):
        made.step()
    for w in range(4):
        lib.ttf_run_state_set(made.rings, w, STOP)
        assert made.run(w, 1000 * MS) == lib.TTF_RUN_STOPPED
    assert sorted(right.receive_all()) == sorted(sent)


@pytest.mark.parametrize("control", [DRAIN, STOP])
def test_drain_waits_for_frames_that_a_ring_holds(harness: MakeHarness, control: int) -> None:
    """A worker without free frames can't receive, so its queue isn't drained yet."""
    sent = [frame(n) for n in range(18)]

    def delivered() -> bool:
        made, left, right = one_way(harness, frames=4)
        left.send(1, *sent)
        lib.ttf_run_state_set(made.rings, 1, control)
        for _ in sent:
            made.step(1, 1, 0)
        assert lib.ttf_run_state_seen(made.rings, 1) == control
        return right.receive(0) == sent

    # A drain waits for 50 ms at most. A busy machine may pause the test for that long.
    assert any(delivered() for _ in range(5))


def test_drain_stops_the_generator(harness: MakeHarness) -> None:
    made = harness(mode="txonly")
    port = made.connect(0)
    config = ffi.new("struct ttf_pktgen_config *", {"size": 60, "flows": 1})
    assert lib.ttf_worker_pktgen(made.live[0], 0, config) == 0
    made.step()
    lib.ttf_run_state_set(made.rings, 0, DRAIN)
    before = made.total(0, "generated_packets")
    assert before == len(port.receive(0)) == 64
    made.step(0, 0)
    assert made.total(0, "generated_packets") == before
    assert lib.ttf_run_state_seen(made.rings, 0) == DRAIN


def test_control_reset_is_a_fresh_start(harness: MakeHarness) -> None:
    made = harness()
    left, right = made.pair()
    lib.ttf_run_state_set(made.rings, 0, STOP)
    assert made.run(0, 1000 * MS) == lib.TTF_RUN_STOPPED
    made.kill(0)
    made.revive(0)
    assert lib.ttf_run_state_seen(made.rings, 0) == RUN
    left.send(0, frame(1))
    made.settle()
    assert right.receive(0) == [frame(1)]


# --------------------------------------------------------------------------------- sleep and doorbells


def test_doorbell_is_rung_for_sleepers_only(harness: MakeHarness) -> None:
    made, left, _right = one_way(harness)
    left.send(1, frame(1))
    made.step(1)
    assert made.worker_stats(1).doorbells == 0
    with pytest.raises(BlockingIOError):
        os.eventfd_read(made.doorbells[0])
    made.words(0).sleeping = 1
    for n in range(3):
        left.send(1, frame(n), frame(n))
        made.step(1)
    assert made.worker_stats(1).doorbells == 3, "one a burst"
    assert os.eventfd_read(made.doorbells[0]) == 3
    made.settle()


@pytest.mark.parametrize("rx_mode", ["interrupt", "adaptive"])
def test_a_ring_wakes_a_sleeper(harness: MakeHarness, rx_mode: str) -> None:
    made, left, right = one_way(harness, rx_mode=rx_mode, spin_ns=0)
    with running(made, 0, 3600 * 1000 * MS) as ends:
        for n in range(5):
            wait_for(lambda: made.words(0).sleeping == 1)
            left.send(1, frame(n))
            made.step(1)
            wait_for(lambda: select.select([right.outside[0]], [], [], 0)[0] != [])
            assert right.receive(0) == [frame(n)]
        wait_for(lambda: made.words(0).sleeping == 1)
        lib.ttf_run_state_attention(made.rings, 0)
        os.eventfd_write(made.doorbells[0], 1)
    assert ends == [lib.TTF_RUN_ATTENTION]
    assert made.worker_stats(0).sleeps >= 5


@pytest.mark.parametrize("rx_mode", ["interrupt", "adaptive"])
def test_a_packet_wakes_a_sleeper(harness: MakeHarness, rx_mode: str) -> None:
    made = harness(rx_mode=rx_mode)
    left, right = made.pair()
    with running(made, 0, 3600 * 1000 * MS):
        for n in range(5):
            wait_for(lambda: made.words(0).sleeping == 1)
            left.send(0, frame(n))
            wait_for(lambda: select.select([right.outside[0]], [], [], 0)[0] != [])
            assert right.receive(0) == [frame(n)]
        lib.ttf_run_state_attention(made.rings, 0)
        os.eventfd_write(made.doorbells[0], 1)
    assert made.worker_stats().sleeps >= 5


def test_what_is_in_the_ring_already_keeps_a_worker_awake(harness: MakeHarness) -> None:
    """Published without a doorbell just before `sleeping` was set: the second check must see it."""
    made, left, right = one_way(harness, rx_mode="interrupt")
    left.send(1, frame(1))
    made.step(1)
    with running(made, 0, 3600 * 1000 * MS):
        wait_for(lambda: select.select([right.outside[0]], [], [], 0)[0] != [])
        wait_for(lambda: made.words(0).sleeping == 1)
        lib.ttf_run_state_attention(made.rings, 0)
        os.eventfd_write(made.doorbells[0], 1)
    assert right.receive(0) == [frame(1)]


def test_polling_never_sleeps_and_interrupt_does(harness: MakeHarness) -> None:
    sleeps = {}
    for rx_mode in ("polling", "interrupt", "adaptive"):
        made = harness(rx_mode=rx_mode, spin_ns=0)
        made.pair()
        made.run(0, 30 * MS)
        sleeps[rx_mode] = int(made.worker_stats().sleeps)
    assert sleeps["polling"] == 0
    assert sleeps["interrupt"] >= 1
    assert sleeps["adaptive"] >= 1


def test_an_idle_slice_is_slept_through(harness: MakeHarness) -> None:
    """A sleeping worker costs no CPU: only a few rounds a slice, however coarse the clocks are."""
    made = harness(rx_mode="interrupt")
    made.pair()
    for _ in range(10):
        made.run(0, 7 * MS)
    assert made.worker_stats().rounds <= 40
    assert made.worker_stats().sleeps <= 30


def test_adaptive_spins_before_it_sleeps(harness: MakeHarness) -> None:
    made = harness(rx_mode="adaptive", spin_ns=3600 * 10**9)
    made.pair()
    made.run(0, 5 * MS)
    assert made.worker_stats().sleeps == 0


def test_a_worker_without_frames_sleeps_but_looks_again(harness: MakeHarness) -> None:
    """A consumer holds all its frames and its port is readable: it must neither spin nor sleep for ever."""
    made, left, right = one_way(harness, rx_mode="interrupt", frames=4)
    sent = [frame(n) for n in range(10)]
    left.send(1, *sent)
    with running(made, 1, 3600 * 1000 * MS):
        wait_for(lambda: made.worker_stats(1).sleeps >= 3)
        assert made.waiting() == 4
        while made.ring_in(1, 0).popped < 10:
            made.step(0)
        lib.ttf_run_state_attention(made.rings, 1)
        os.eventfd_write(made.doorbells[1], 1)
    assert right.receive(0) == sent


# ------------------------------------------------------------------------------------ detached ports


@pytest.mark.parametrize("waiting", [0, 5, 200])
def test_detach_forwards_what_is_queued(harness: MakeHarness, waiting: int) -> None:
    made = harness(batch=16)
    left, right = made.pair()
    sent = [frame(n) for n in range(waiting)]
    left.send(0, *sent)
    assert lib.ttf_worker_detach(made.live[0], 0) == 0
    assert right.receive(0) == sent
    left.send(0, frame(1000))
    right.send(0, frame(1001))
    made.settle()
    assert made.drops(1) == {"no_port": 1}, "the peer has no port to send to"
    assert right.receive(0) == left.receive(0) == []


def test_detach_publishes_to_other_workers(harness: MakeHarness) -> None:
    made, left, right = one_way(harness)
    left.send(1, frame(1))
    assert lib.ttf_worker_detach(made.live[1], 0) == 0
    made.step(0)
    assert right.receive(0) == [frame(1)]


def test_detach_with_every_frame_in_a_ring(harness: MakeHarness) -> None:
    """The consumer has completed the frames, but their owner hasn't reclaimed them."""
    made, left, right = one_way(harness, frames=4, batch=4)
    left.send(1, *(frame(n) for n in range(4)))
    made.step(1)
    made.step(0)
    left.send(1, *(frame(n) for n in range(4, 8)))
    assert lib.ttf_worker_detach(made.live[1], 0) == 0
    made.step(0)
    assert right.receive(0) == [frame(n) for n in range(8)]


def test_a_packet_under_way_to_a_deleted_port_has_a_name(harness: MakeHarness) -> None:
    made, left, right = one_way(harness)
    left.send(1, frame(1))
    made.step(1)
    for w in (0, 1):
        assert lib.ttf_worker_detach(made.live[w], 1) == 0
    made.settle()
    assert right.receive(0) == []
    assert made.orphan_drops() == {"no_port": 1}


def test_a_slot_used_again_gets_no_packet_of_the_former_port(harness: MakeHarness) -> None:
    made, left, _right = one_way(harness)
    left.send(1, frame(1))
    made.step(1)
    made.disconnect(1)
    again = made.connect(1, peer=0, queues=1, generation=3)
    made.settle()
    assert again.receive(0) == []
    assert made.orphan_drops() == {"no_port": 1}


def test_retired_counters_keep_the_totals(harness: MakeHarness) -> None:
    made = harness(2)
    left, right = made.pair()
    for w in (0, 1):
        left.send(w, *(frame(n) for n in range(3 + w)), b"runt")
    made.settle()
    assert len(right.receive_all()) == 7
    made.disconnect(0)
    made.check_conservation()
    for w in (0, 1):
        assert bytes(ffi.buffer(made.queue(0, w)[0:1])) == bytes(ffi.sizeof("struct ttf_counters"))
        retired = made.status(w).retired
        assert retired.rx_packets == 4 + w
        assert retired.rx_bytes == 60 * (3 + w) + 4
        assert retired.drops[lib.TTF_DROP_RUNT] == 1
        assert sum(retired.rx_bursts) == 1
    made.connect(0, generation=3)
    made.disconnect(1)
    made.check_conservation()


def test_a_death_after_a_port_was_deleted_loses_nothing_again(harness: MakeHarness) -> None:
    made, left, right = one_way(harness)
    left.send(1, frame(1), b"runt")
    left.send(0, frame(2))
    made.settle()
    assert len(right.receive(0)) == 2
    made.disconnect(0)
    made.disconnect(1)
    for w in (0, 1):
        made.kill(w)
        assert made.revive(w) == 0


def test_deleting_a_port_forgets_its_stations(harness: MakeHarness) -> None:
    made = harness(mode="bridge")
    first, second, third = (made.connect(slot) for slot in range(3))
    second.send(0, frame(1, src=mac(7), dst=mac(8)))
    made.settle()
    made.disconnect(1)
    fdb = lib.ttf_rings_fdb(made.rings)
    assert lib.ttf_fdb_flush(fdb, 1) == 1
    assert lib.ttf_fdb_flush(fdb, 1) == 0
    first.receive(0), third.receive(0)
    first.send(0, frame(2, src=mac(9), dst=mac(7)))
    made.settle()
    assert third.receive(0) == [frame(2, src=mac(9), dst=mac(7))], "unknown again: flooded"


# ------------------------------------------------------------------------------------------ recovery


def test_a_fresh_instance_has_lost_nothing(harness: MakeHarness) -> None:
    made = harness(3)
    assert [made.recover(w) for w in range(3)] == [0, 0, 0]


@pytest.mark.parametrize("start", [0, 2**32 - 5])
def test_death_of_a_consumer_that_had_claimed(harness: MakeHarness, start: int) -> None:
    made, left, right = one_way(harness, batch=4, start=start)
    sent = [frame(n) for n in range(10)]
    left.send(1, *sent)
    made.step(1, 1, 1)
    made.kill(0)
    assert lib.ring_peek(made.ring(1, 0), 4) == 4
    assert made.revive(0) == 4, "claimed frames may have been sent, so they aren't sent again"
    made.check_conservation()
    made.settle()
    assert right.receive(0) == sent[4:]
    assert made.ring_in(1, 0).popped == 10


def test_death_of_a_consumer_that_had_sent_but_not_completed(harness: MakeHarness) -> None:
    made, left, right = one_way(harness, batch=4)
    sent = [frame(n) for n in range(10)]
    left.send(1, *sent)
    made.step(1, 1, 1)
    made.kill(0)
    assert lib.ring_peek(made.ring(1, 0), 4) == 4
    made.queue(1, 0).tx_packets += 3
    made.queue(1, 0).drops[lib.TTF_DROP_TX_FULL] += 1
    assert made.revive(0) == 0, "all four are counted"
    made.settle()
    assert right.receive(0) == sent[4:]


def test_death_of_a_consumer_between_completion_and_count(harness: MakeHarness) -> None:
    made, left, right = one_way(harness, batch=4)
    left.send(1, *(frame(n) for n in range(6)))
    made.step(1, 1)
    made.kill(0)
    ring = made.ring(1, 0)
    assert lib.ring_peek(ring, 4) == 4
    made.queue(1, 0).tx_packets += 4
    lib.ring_complete(ring)
    assert made.revive(0) == 0
    assert made.ring_in(1, 0).popped == 4
    made.settle()
    assert right.receive(0) == [frame(4), frame(5)]


@pytest.mark.parametrize("start", [0, 2**32 - 5])
def test_death_of_a_producer_before_it_published(harness: MakeHarness, start: int) -> None:
    made, left, right = one_way(harness, slots=16, start=start)
    sent = [frame(n) for n in range(5)]
    left.send(1, *sent)
    made.step(1)
    made.kill(1)
    made.queue(0, 1).rx_packets += 3
    for pending in range(3):
        lib.ring_slot(made.ring(1, 0), pending).frame_id = 255 - pending
    assert made.revive(1) == 3
    made.settle()
    assert right.receive(0) == sent
    again = [frame(100 + n) for n in range(40)]
    assert made.pump([(left, 1, data) for data in again])[1, 0] == again


@pytest.mark.parametrize("start", [0, 2**32 - 5])
def test_death_of_a_producer_between_publish_and_count(harness: MakeHarness, start: int) -> None:
    made, left, right = one_way(harness, start=start)
    sent = [frame(n) for n in range(7)]
    left.send(1, *sent)
    made.step(1)
    made.kill(1)
    made.ring_out(1, 0).pushed -= 4
    assert made.revive(1) == 0
    assert made.ring_out(1, 0).pushed == 7
    made.settle()
    assert right.receive(0) == sent, "published frames are delivered"


def test_a_new_incarnation_never_uses_frames_that_wait(harness: MakeHarness) -> None:
    made, left, right = one_way(harness, frames=12, slots=16)
    other, out = made.connect(2, peer=3), made.connect(3, peer=2)
    sent = [frame(n) for n in range(7)]
    left.send(1, *sent)
    made.step(1)
    made.kill(1)
    assert made.revive(1) == 0
    for n in range(40):
        other.send(1, frame(1000 + n))
        made.step(1)
        assert out.receive(1) == [frame(1000 + n)]
    made.settle()
    assert right.receive(0) == sent


def test_death_during_a_flood_is_never_a_negative_loss(harness: MakeHarness) -> None:
    made = harness(2, mode="bridge")
    first, _second, third = made.connect(0), made.connect(1, queues=1), made.connect(2)
    first.send(1, frame(1, dst=b"\xff" * 6))
    made.step(1)
    made.kill(1)
    # The worker had received one more frame and counted both copies, but sent neither.
    made.queue(0, 1).rx_packets += 1
    made.worker_stats(1).orphans.copied_packets += 1
    assert made.revive(1) == 2
    made.settle()
    assert third.receive(1) == [frame(1, dst=b"\xff" * 6)]


def test_losses_of_several_deaths_add_up(harness: MakeHarness) -> None:
    made, left, _right = one_way(harness, batch=4)
    for death in range(1, 4):
        left.send(1, *(frame(n) for n in range(4)))
        made.step(1)
        made.kill(0)
        assert lib.ring_peek(made.ring(1, 0), death) == death
        assert made.revive(0) == death
        made.settle()
    assert made.status(0).lost_in_crash == 6
    assert made.lost() == 6


def test_death_of_both_sides(harness: MakeHarness) -> None:
    made, left, right = one_way(harness, batch=4)
    left.send(1, *(frame(n) for n in range(4)))
    made.step(1)
    for w in (0, 1):
        made.kill(w)
    assert lib.ring_peek(made.ring(1, 0), 2) == 2
    made.queue(0, 1).rx_packets += 1
    assert made.recover(1) == 1
    assert made.recover(0) == 2
    for w in (0, 1):
        made.new_worker(w)
    made.check_conservation()
    made.settle()
    assert right.receive(0) == [frame(2), frame(3)]


def test_a_dead_sleeper_needs_no_doorbell(harness: MakeHarness) -> None:
    made, _left, _right = one_way(harness)
    made.kill(0)
    made.words(0).sleeping = 1
    made.revive(0)
    assert made.words(0).sleeping == 0


@pytest.mark.parametrize("seed", [1, 2])
def test_killed_workers_lose_a_burst_and_nothing_else(harness: MakeHarness, seed: int) -> None:
    """Real processes are killed while they forward, and recovered as the supervisor does it."""
    rng = random.Random(seed)
    batch, deaths = 16, 24
    made = harness(2, steering="flow", rx_mode="adaptive", batch=batch, slots=64, frames=256)
    left, right = made.pair()
    for w in (0, 1):
        made.kill(w)
    children: list[int] = []

    def start(w: int) -> int:
        child = os.fork()
        if child:
            return child
        try:
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            made.new_worker(w)
            while True:
                made.run(w, 100 * MS)
        finally:
            os._exit(1)

    sent = 0
    got: list[bytes] = []
    flows = range(40000, 40016)
    restarts = 0

    def traffic(packets: int) -> None:
        nonlocal sent, got
        for _ in range(packets):
            flow = flows[sent % len(flows)]
            if left.offer(flow % 2, udp_frame(flow, 80, sent.to_bytes(4, "big"))):
                sent += 1
            if sent % 8 == 0:
                got += right.receive_all()

    children = [start(0), start(1)]
    try:
        for _ in range(deaths):
            traffic(rng.randrange(50, 400))
            victim = rng.randrange(2)
            os.kill(children[victim], signal.SIGKILL)
            os.waitpid(children[victim], 0)
            traffic(rng.randrange(20))
            lost = made.recover(victim)
            assert lost <= 2 * batch, "a burst that it received, and one that it claimed"
            lib.ttf_run_state_reset(made.rings, victim)
            children[victim] = start(victim)
            restarts += 1
        traffic(200)
        for w in (0, 1):
            lib.ttf_run_state_set(made.rings, w, DRAIN)
            lib.ttf_run_state_attention(made.rings, w)
            os.eventfd_write(made.doorbells[w], 1)

        def drained() -> bool:
            nonlocal got
            got += right.receive_all()
            seen = all(lib.ttf_run_state_seen(made.rings, w) == DRAIN for w in (0, 1))
            return bool(seen and lib.ttf_rings_waiting(made.rings) == 0)

        wait_for(drained)
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    for w in (0, 1):
        made.recover(w)
        lib.ttf_run_state_reset(made.rings, w)
        made.new_worker(w)
    made.settle()
    got += right.receive_all()
    made.check_conservation()
    last: dict[bytes, int] = {}
    for data in got:
        n = int.from_bytes(data[42:46], "big")
        assert data == udp_frame(flows[n % len(flows)], 80, n.to_bytes(4, "big")), "bytes exact"
        assert last.get(data[34:36], -1) < n, "no duplicates, no reordering"
        last[data[34:36]] = n
    named = made.lost() + sum(made.all_drops().values())
    # A burst that was read but not yet counted appears in no counter. A burst that was sent but not yet
    # counted is counted as lost.
    assert sent - len(got) <= named + restarts * batch
    assert named <= sent - len(got) + 2 * restarts * batch
    assert restarts == deaths


# -------------------------------------------------------------------------------------------- refusal


def test_worker_refuses_segments_of_another_start(harness: MakeHarness) -> None:
    made, other = harness(2), harness(2)
    header = ffi.cast("struct ttf_header *", other.rings)
    header.epoch = EPOCH + 1
    config, _alive = made.config(0, rings=other.rings)
    assert lib.ttf_worker_new(config) == ffi.NULL
    assert ffi.errno == errno.EINVAL
    header.epoch = EPOCH
    one = harness(1)
    config, _alive = made.config(0, rings=one.rings)
    assert lib.ttf_worker_new(config) == ffi.NULL, "a different number of workers"

# SPDX-License-Identifier: Apache-2.0
"""A worker dies or hangs under load. The user keeps the interface and the other queues, and gets the dead
worker's queue back at once. No packet is delivered twice, and every lost one is counted by name."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from forwarder.stats.accounting import accounting
from forwarder.stats.reader import StatsReader
from forwarder.stats.snapshot import Snapshot, Worker
from tests.process.conftest import Recorder
from tests.process.topology import (
    Pair,
    is_ready,
    link,
    lost_packets,
    queue_rx,
    standbys_of,
    worker_times,
)
from tests.process.traffic import Received, Sent, Sink, Source, assert_in_order, assert_unique, longest_gap_ms
from tests.support.drivers import URING, extended
from tests.support.instance import Instance, instance
from tests.support.netns import namespace
from tests.support.wait import wait_until

BATCH = 64
AGAIN_PACKETS = 200  # "it forwards again"
# Log text. On a busy machine a replacement may take so long that its packets go to other queues meanwhile.
# They are not reordered while all queues are attached.
QUEUES_DETACHED = "queues are detached"
BUCKET_KILLS = 5  # this many deaths in a row each get a replacement at once


def kill_worker(it: Instance, worker: int, number: signal.Signals = signal.SIGKILL) -> int:
    """Signal a worker in state READY. Returns its pid."""
    ready = it.wait(lambda s: s.workers[worker].state == "ready", f"worker {worker} is ready")
    pid = ready.workers[worker].pid
    os.kill(pid, number)
    return pid


def _identity(worker: Worker) -> tuple[str, int, int]:
    return worker.state, worker.pid, worker.restarts


@contextmanager
def looking_at_worker(it: Instance, worker: int, seen: list[Worker]) -> Iterator[None]:
    """Look at the statistics again and again, in a thread; `seen` gets each change."""
    done = threading.Event()

    def look() -> None:
        with StatsReader.attach(it.name) as reader:
            while not done.is_set():
                now = reader.snapshot().workers[worker]
                if not seen or _identity(now) != _identity(seen[-1]):
                    seen.append(now)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def wait_forwarding(it: Instance, worker: int, port: str = "t0") -> None:
    """Wait until a worker's queue receives again and the instance sends more packets."""
    start = queue_rx(it.stats(), port, worker)
    it.wait(
        lambda s: queue_rx(s, port, worker) >= start + AGAIN_PACKETS,
        f"worker {worker} forwards {AGAIN_PACKETS}",
    )


def assert_accounted(
    final: Snapshot, sent: Sent, received: Received, crashes: int, batch: int = BATCH
) -> None:
    """Assert: all offered packets were received, and all received ones were delivered or counted by name.

    A crash can hide two bursts: one that it received but hadn't counted, and one that it sent but hadn't
    counted (counted as lost, yet delivered).
    """
    closing = accounting(final)
    assert closing.closes, closing
    lost = lost_packets(final)
    assert 0 <= lost <= crashes * batch
    assert received.missed_packets == 0
    assert set(sent.refused_packets) <= {"ENOBUFS"}
    hidden = sent.accepted_packets - closing.received_packets
    assert 0 <= hidden <= crashes * batch, f"{hidden} packets of {sent} were not received: {closing}"
    assert closing.sent_packets <= received.packets <= closing.sent_packets + lost


@pytest.mark.parametrize(
    ("pair", "victim"),
    [("tap", 0), ("tap", 1), ("uring", 0), extended("turbotap-burst", 0), extended("turbotap-zerocopy", 0)],
    indirect=["pair"],
)
def test_a_killed_worker_is_replaced_while_the_interface_stays_up(
    pair: Pair, victim: int, record: Recorder
) -> None:
    with instance(pair.config(batch=BATCH)) as it:
        pair.lengthen_queues()
        before = link(pair.left, "t0")
        with Sink(pair.right, "t1") as sink:
            with Source(pair.left, "t0", rate=10_000) as source:
                it.wait(
                    lambda s: all(queue_rx(s, "t0", q) > AGAIN_PACKETS for q in (0, 1)), "both queues busy"
                )
                pid = kill_worker(it, victim)
                after = it.wait(lambda s: is_ready(s, victim, 1), "the worker is replaced")
                wait_forwarding(it, victim)
                assert after.workers[victim].pid not in (0, pid)
                assert after.workers[1 - victim].restarts == 0
            times = worker_times(it, victim)
            now = link(pair.left, "t0")
            it.settled()
        final = it.stop()
        detached = QUEUES_DETACHED in it.log
    assert (now["ifindex"], now["flags"]) == (before["ifindex"], before["flags"])
    assert_accounted(final, source.result, sink.received, crashes=1)
    arrivals = sink.received.of()
    assert_unique(arrivals)
    if not detached:
        assert_in_order(arrivals)
    record("replaced_ms", round((times.ready_ns - times.reaped_ns) / 1e6, 1))
    record("longest_gap_of_a_flow_ms", round(longest_gap_ms(arrivals), 1))


def test_no_look_finds_a_ready_worker_without_its_process(pair: Pair) -> None:
    """A script that signals the pid of `ttfwd stats` would signal its own group by pid 0."""
    with instance(pair.config()) as it:
        seen: list[Worker] = []
        with looking_at_worker(it, 0, seen):
            for crash in range(BUCKET_KILLS):
                it.wait(partial(is_ready, worker=0, restarts=crash), "it is ready")
                kill_worker(it, 0)
            it.wait(partial(is_ready, worker=0, restarts=BUCKET_KILLS), "the last one is replaced")
        it.stop()
    ready = [worker for worker in seen if worker.state == "ready"]
    assert all(worker.pid for worker in ready)
    processes = {(worker.restarts, worker.pid) for worker in ready}
    assert len({pid for _, pid in processes}) == len(processes) > 1, "a process was shown as its replacement"


@pytest.mark.parametrize("pair", [extended("turbotap-zerocopy")], indirect=True)
def test_a_crash_over_a_crossing_is_counted_to_the_packet(pair: Pair) -> None:
    """The kernel knows which frames it sent for the dead worker, and which it held."""
    with instance(pair.config(batch=BATCH, steering="flow")) as it:
        pair.lengthen_queues()
        with Sink(pair.right, "t1") as sink:
            with Source(pair.left, "t0", rate=10_000) as source:
                for crash in range(6):
                    it.wait(partial(is_ready, worker=crash % 2, restarts=crash // 2), "it is ready")
                    wait_forwarding(it, crash % 2)
                    kill_worker(it, crash % 2)
                it.wait(partial(is_ready, worker=1, restarts=3), "the last one is replaced")
                wait_forwarding(it, 1)
            it.settled()
        closing = accounting(it.stop())
        detached = QUEUES_DETACHED in it.log  # then the kernel may have dropped what came that moment
    assert closing.closes
    assert detached or closing.received_packets == source.result.accepted_packets
    assert closing.sent_packets == sink.received.packets
    assert sink.received.missed_packets == 0
    unsent = closing.dropped_packets["shutdown"] + closing.lost_in_crash_packets
    assert unsent == closing.received_packets - closing.sent_packets
    assert closing.lost_in_crash_packets <= 6 * BATCH
    assert_unique(sink.received.of())


def test_a_start_that_takes_long_costs_no_flow_more_than_its_beginning(pair: Pair) -> None:
    """While a replacement can't start, its packets go to the other queue; later they come back."""
    with instance(pair.config()) as it:
        pair.lengthen_queues()
        with Sink(pair.right, "t1") as sink, Source(pair.left, "t0", rate=4_000) as source:
            it.wait(lambda s: all(queue_rx(s, "t0", q) > AGAIN_PACKETS for q in (0, 1)), "both queues busy")
            it.wait(lambda _: len(standbys_of(it)) == 1, "a standby")
            (replacement,) = standbys_of(it)
            os.kill(replacement, signal.SIGSTOP)  # so the outage lasts until the test continues it
            kill_worker(it, 0)
            try:
                wait_until(lambda: "worker 0 starts slowly" in it.log, "it is away")
                named = "what its queue held is named"
                start = it.wait(lambda s: accounting(s).dropped_packets["shutdown"] > 0, named)
                it.wait(
                    lambda s: queue_rx(s, "t0", 1) > queue_rx(start, "t0", 1) + 2_000, "the other takes all"
                )
                assert queue_rx(it.stats(), "t0", 0) == queue_rx(start, "t0", 0)
                assert it.stats().workers[0].state == "starting"
            finally:
                os.kill(replacement, signal.SIGCONT)
            it.wait(lambda s: s.workers[0].state == "ready", "the worker is back")
            wait_forwarding(it, 0)
            source.stop()
            it.settled()
        final = it.stop()
    assert source.result.refused_packets == {}
    assert_accounted(final, source.result, sink.received, crashes=1)
    assert_unique(sink.received.of())
    # What came in the first half second is named; the sink saw everything else.
    assert 0 < accounting(final).dropped_packets["shutdown"] < 4_000


@pytest.mark.parametrize("steering", ["queue", "flow"])
def test_kills_at_random_moments_lose_a_burst_each_and_never_deliver_twice(
    pair: Pair, steering: str, record: Recorder
) -> None:
    chance = random.Random(f"kills {steering}")
    workers, kills = 3, 6
    victims = [kill % workers for kill in range(kills)]
    chance.shuffle(victims)
    config = pair.config(queues=workers, steering=steering, ring_slots=4096, batch=BATCH)
    with instance(config) as it:
        pair.lengthen_queues()
        with Sink(pair.right, "t1") as right, Sink(pair.left, "t0") as left:
            with (
                Source(pair.left, "t0", rate=6_000, flows=24, stream=1) as rightward,
                Source(pair.right, "t1", rate=6_000, flows=24, stream=2) as leftward,
            ):
                it.wait(lambda s: all(queue_rx(s, "t0", q) > 100 for q in range(workers)), "all queues busy")
                for count, victim in enumerate(victims):
                    time.sleep(chance.uniform(0.0, 0.15))
                    kill_worker(it, victim)
                    restarts = victims[: count + 1].count(victim)
                    it.wait(partial(is_ready, worker=victim, restarts=restarts), "the worker is replaced")
                for worker in range(workers):
                    wait_forwarding(it, worker)
            settled = it.settled()
        final = it.stop()
        detached = QUEUES_DETACHED in it.log
    closing = accounting(final)
    sent = rightward.result.accepted_packets + leftward.result.accepted_packets
    lost = lost_packets(final)
    assert lost <= kills * BATCH
    assert 0 <= sent - closing.received_packets <= kills * BATCH
    assert (
        closing.sent_packets <= right.received.packets + left.received.packets <= closing.sent_packets + lost
    )
    if steering == "flow":
        assert sum(ring.popped_packets for ring in settled.rings) > 1000  # otherwise no ring was used
    for arrivals in (right.received.of(1), left.received.of(2)):
        assert_unique(arrivals)
        if not detached:
            assert_in_order(arrivals)
    record("lost_packets", lost)


def test_a_kill_while_flooding_loses_at_most_one_burst_and_its_copies(pair: Pair) -> None:
    with namespace() as third:
        extra = f'[[port]]\nname = "t2"\nnetns = "{third}"\ndriver = "tap"\n'
        config = pair.config(extra, mode="bridge", steering="flow", queues=2, batch=BATCH, ring_slots=4096)
        with instance(config) as it:
            pair.lengthen_queues()
            with Sink(pair.right, "t1") as one, Sink(third, "t2") as other:
                with Source(pair.left, "t0", rate=5_000) as source:
                    for kill, victim in enumerate((0, 1, 0, 1)):
                        it.wait(lambda s: all(queue_rx(s, "t0", q) > 100 for q in (0, 1)), "both queues busy")
                        kill_worker(it, victim)
                        it.wait(partial(is_ready, worker=victim, restarts=kill // 2 + 1), "it is replaced")
                        wait_forwarding(it, victim)
                it.settled()
            final = it.stop()
            detached = QUEUES_DETACHED in it.log
    closing = accounting(final)
    assert 0 <= source.result.accepted_packets - closing.received_packets <= 4 * BATCH
    assert closing.copied_packets > 1000
    lost = lost_packets(final)
    assert 0 <= lost <= 4 * 2 * BATCH
    assert (
        closing.sent_packets <= one.received.packets + other.received.packets <= closing.sent_packets + lost
    )
    for arrivals in (one.received.of(), other.received.of()):
        assert_unique(arrivals)
        if not detached:
            assert_in_order(arrivals)


def is_replaced_or_away(snapshot: Snapshot, kills: int) -> bool:
    return is_ready(snapshot, 0, kills) or snapshot.workers[0].state == "backoff"


def fill_bucket(it: Instance) -> int:
    """Kill worker 0 until its replacement is delayed. Returns the number of kills."""
    for kills in range(1, 30):  # more than the bucket's capacity, as it leaks meanwhile
        kill_worker(it, 0)
        now = it.wait(partial(is_replaced_or_away, kills=kills), f"replacement {kills}, or none")
        if now.workers[0].state == "backoff":
            assert kills > BUCKET_KILLS, "the worker is replaced at once"
            return kills
    pytest.fail("the bucket never fills")


# Not over turbotap: in its guest, workers start so slowly that the bucket never fills.
@pytest.mark.parametrize("pair", ["tap", *URING], indirect=True)
def test_a_worker_that_dies_too_often_backs_off_and_others_take_its_packets(
    pair: Pair, record: Recorder
) -> None:
    with instance(pair.config()) as it:
        pair.lengthen_queues()
        with Sink(pair.right, "t1") as sink:
            with Source(pair.left, "t0", rate=4_000) as source:
                it.wait(lambda s: all(queue_rx(s, "t0", q) > 100 for q in (0, 1)), "both queues busy")
                crashes = fill_bucket(it)
                # Steered to the other queue, which receives all that the source sends.
                start = it.stats()
                it.wait(
                    lambda s: (
                        queue_rx(s, "t0", 1) > queue_rx(start, "t0", 1) + 1_000
                        or s.workers[0].state != "backoff"
                    ),
                    "the other takes all",
                )
                there = it.stats()
                if there.workers[0].state == "backoff":  # the machine was quick enough to see it
                    assert queue_rx(there, "t0", 0) == queue_rx(start, "t0", 0)
                    assert there.workers[0].pid == 0
                assert there.workers[1].restarts == 0
                back = it.wait(lambda s: s.workers[0].state == "ready", "it is started again")
                assert back.workers[0].restarts == crashes
                wait_forwarding(it, 0)
            it.settled()
        final = it.stop()
        assert "dies too often" in it.log
    assert_accounted(final, source.result, sink.received, crashes)
    assert_unique(sink.received.of())
    record("lost_packets", lost_packets(final))


def test_a_hung_worker_is_killed_by_its_heartbeat_and_replaced(pair: Pair, record: Recorder) -> None:
    with instance(pair.config(heartbeat_timeout_ms=3000)) as it:
        pair.lengthen_queues()
        with Sink(pair.right, "t1") as sink:
            with Source(pair.left, "t0", rate=6_000) as source:
                it.wait(lambda s: all(queue_rx(s, "t0", q) > 100 for q in (0, 1)), "both queues busy")
                pid = kill_worker(it, 1, signal.SIGSTOP)
                wait_forwarding(it, 0)
                after = it.wait(lambda s: is_ready(s, 1, 1), "the hung worker is replaced")
                wait_forwarding(it, 1)
                assert after.workers[1].pid != pid
                assert not os.path.exists(f"/proc/{pid}")
                assert after.workers[0].restarts == 0
            it.settled()
        final = it.stop()
        detached = QUEUES_DETACHED in it.log
        assert "worker 1 hangs: no heartbeat for 3.0 s" in it.log
    assert_accounted(final, source.result, sink.received, crashes=1)
    assert_unique(sink.received.of())
    if not detached:
        assert_in_order(sink.received.of())
    record("longest_gap_of_a_flow_ms", round(longest_gap_ms(sink.received.of()), 1))

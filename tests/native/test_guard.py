# SPDX-License-Identifier: Apache-2.0
"""A worker may write anything into its own area. The supervisor finds it, names it, and goes on counting."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from tests.native.conftest import MakeHarness
from tests.native.ext import ffi, lib
from tests.native.harness import Harness, frame

U64 = 2**64


def busy(harness: MakeHarness) -> Harness:
    """Two workers that have forwarded 20 packets, ten of them through a ring; nothing is under way."""
    made = harness(2, batch=8)
    left, right = made.connect(0, peer=1), made.connect(1, peer=0, queues=1)
    for w in (0, 1):
        left.send(w, *(frame(n) for n in range(10)))
    made.settle()
    assert len(right.receive_all()) == 20
    assert [made.damage(w) for w in (0, 1)] == [None, None]
    made.conserves = False  # the tests below spoil counters
    return made


def queue(field: str) -> Callable[[Harness], tuple[Any, str]]:
    return lambda made: (made.queue(0, 1), field)


SPOILT: list[tuple[str, Callable[[Harness], tuple[Any, str]], int]] = [
    ("rx_packets of port id 0", queue("rx_packets"), 10**15),
    ("rx_packets of port id 0", queue("rx_packets"), -1),
    ("tx_bytes of port id 0", queue("tx_bytes"), -1),
    ("tx_calls of port id 0", queue("tx_calls"), 2**63),
    ("copied_packets of no port", lambda made: (made.worker_stats(1).orphans, "copied_packets"), 2**60),
    ("pushed of the ring to worker 0", lambda made: (made.ring_out(1, 0), "pushed"), -10),
    ("popped of the ring from worker 0", lambda made: (made.ring_in(0, 1), "popped"), 2**50),
    ("rounds", lambda made: (made.worker_stats(1), "rounds"), -1),
    ("pool_frames", lambda made: (made.worker_stats(1), "pool_free_frames"), 10**6),
    ("the sum of packets in less packets out", queue("tx_packets"), 10_000),
    ("the sum of packets in less packets out", queue("rx_packets"), 10**7),
]


@pytest.mark.parametrize(("name", "place", "by"), SPOILT)
def test_a_spoilt_counter_is_named_and_restored(
    harness: MakeHarness, name: str, place: Callable[[Harness], tuple[Any, str]], by: int
) -> None:
    made = busy(harness)
    struct, field = place(made)
    before = getattr(struct, field)
    setattr(struct, field, (before + by) % U64 if field != "pool_free_frames" else before + by)
    assert made.damage(1) == name
    assert getattr(struct, field) == before
    assert made.damage(1) is None, "told once"
    assert made.damage(0) is None, "and of nobody else"
    assert lib.ttf_stats_instance(made.stats).damaged == 1


def test_a_spoilt_drop_counter_is_named(harness: MakeHarness) -> None:
    made = busy(harness)
    made.queue(1, 1).drops[lib.TTF_DROP_TX_FULL] = 2**40
    assert made.damage(1) == "tx_full of port id 1"


def test_a_worker_that_spoils_its_counters_and_dies_leaves_no_absurd_loss(harness: MakeHarness) -> None:
    made = busy(harness)
    made.queue(0, 1).rx_packets = U64 - 1
    made.kill(1)
    assert made.recover(1) == 0
    assert made.damage(1) == "rx_packets of port id 0"
    lib.ttf_run_state_reset(made.rings, 1)
    made.new_worker(1)
    # From now on it counts as before, and the next death is counted exactly.
    made.ports[0].send(1, *(frame(n) for n in range(5)))
    made.settle()
    assert made.queue(0, 1).rx_packets == 15
    made.kill(1)
    made.queue(0, 1).rx_packets += 3
    assert made.revive(1) == 3
    assert made.lost() == 3
    assert made.damage(1) is None


@pytest.mark.parametrize("seed", range(3))
def test_garbage_in_all_that_a_worker_may_write(harness: MakeHarness, seed: int) -> None:
    """The supervisor's part of the work never fails, and its own numbers stay plausible."""
    made = busy(harness)
    rng = random.Random(seed)
    stats_area, rings_area = lib.ttf_stats_area(2, 64, 1), lib.ttf_rings_area(2, made.slots, 1)
    parts = [
        ffi.buffer(ffi.cast("char *", made.stats) + stats_area.offset, stats_area.bytes),
        ffi.buffer(ffi.cast("char *", made.rings) + rings_area.offset, rings_area.bytes),
    ]
    seen = ffi.new("struct ttf_ring_indices *")
    for _ in range(300):
        made.kill(1)
        for _ in range(20):
            part = rng.choice(parts)
            size = rng.choice((1, 4, 8))
            at = rng.randrange(len(part) - size)
            part[at : at + size] = rng.randbytes(size)
        made.damage(1)
        made.kill(0)
        number = -1
        while (number := lib.ttf_rings_contradiction(made.rings, number + 1, seen)) >= 0:
            lib.ttf_recover_ring(made.guard, made.rings, number // 2, number % 2)
        made.drop_waiting(1)
        made.revive(1)
        made.revive(0)
        made.step(0, 1)
    assert made.lost() < 2**25
    assert lib.ttf_stats_instance(made.stats).damaged > 0
    # Traffic is as before.
    left, right = made.ports[0], made.ports[1]
    right.receive_all()
    sent = [frame(100 + n) for n in range(30)]
    out = made.pump([(left, 1, data) for data in sent])
    assert out[1, 0] == sent


@pytest.mark.parametrize("beat", [1, 2**62])
def test_a_heartbeat_is_no_counter(harness: MakeHarness, beat: int) -> None:
    """One that is old, or of the future, is for others to judge, and the accounting stays exact."""
    made = busy(harness)
    made.worker_stats(1).heartbeat_ns = beat
    assert made.damage(1) is None
    assert made.worker_stats(1).heartbeat_ns == beat

# SPDX-License-Identifier: Apache-2.0
"""Flows follow the living: nothing waits for a worker that is away."""

from __future__ import annotations

import pytest

from tests.native.conftest import MakeHarness
from tests.native.ext import ffi, lib
from tests.native.harness import Harness, SocketPort, frame, udp_frame

FLOWS = [(1000 + n, 80) for n in range(64)]


def flows_out(made: Harness, left: SocketPort, right: SocketPort, at: int = 0) -> dict[tuple[int, int], int]:
    """Send both directions of every flow. Returns the queue by which each leaves, the same for both."""
    found = {}
    for flow in FLOWS:
        left.send(at, udp_frame(*flow, b"there"))
        right.send(at, udp_frame(*flow, b"back", reverse=True))
        made.step(*(w for w in range(made.workers) if made.live[w]))
        made.step(*(w for w in range(made.workers) if made.live[w]))
        (there,) = (q for q in range(right.queues) if right.receive(q))
        (back,) = (q for q in range(left.queues) if left.receive(q))
        assert there == back, "both directions meet on one worker"
        found[flow] = there
    return found


@pytest.mark.parametrize("queues", [(4, 4), (4, 3), (2, 4)])
def test_flows_of_a_worker_that_is_away_are_spread_over_the_others(
    harness: MakeHarness, queues: tuple[int, int]
) -> None:
    made = harness(4, steering="flow")
    left, right = made.connect(0, peer=1, queues=queues[0]), made.connect(1, peer=0, queues=queues[1])
    before = flows_out(made, left, right)
    assert set(before.values()) == set(range(min(queues)))
    made.kill(1)
    made.away(1)
    without = flows_out(made, left, right)
    assert set(without.values()) == set(range(min(queues))) - {1}
    assert all(without[flow] == owner for flow, owner in before.items() if owner != 1), "others stay"
    if min(queues) == 4:
        moved = {without[flow] for flow, owner in before.items() if owner == 1}
        assert moved == {0, 2, 3}, "over all that live"
    made.revive(1)
    made.away()
    assert flows_out(made, left, right) == before


def test_a_port_with_fewer_queues_is_served_by_the_living(harness: MakeHarness) -> None:
    made = harness(4)
    left, right = made.connect(0, peer=1), made.connect(1, peer=0, queues=2)
    made.kill(1)
    made.away(1)
    for w in (0, 2, 3):
        left.send(w, frame(w))
    made.step(0, 2, 3)
    made.step(0)
    assert sorted(right.receive(0)) == sorted(frame(w) for w in (0, 2, 3))
    made.revive(1)


def test_without_a_living_worker_of_the_port_packets_are_dropped_by_name(harness: MakeHarness) -> None:
    made = harness(2)
    left, _right = made.connect(0, peer=1), made.connect(1, peer=0, queues=1)
    made.kill(0)
    made.away(0)
    left.send(1, frame(1), frame(2))
    made.step(1)
    assert made.drops(0) == {"no_worker": 2}
    made.revive(0)


def test_a_flood_leaves_by_every_port_that_somebody_serves(harness: MakeHarness) -> None:
    made = harness(3, mode="bridge")
    ports = [made.connect(0), made.connect(1), made.connect(2, queues=1), made.connect(3, queues=2)]
    made.kill(0)
    made.away(0)
    ports[0].send(2, frame(1, dst=b"\xff" * 6))
    made.step(2)
    made.step(1)
    assert [len(port.receive_all()) for port in ports] == [0, 1, 0, 1]
    assert made.drops(0) == {"no_worker": 1}
    made.revive(0)


def test_a_worker_that_runs_lives_whatever_the_mask_says(harness: MakeHarness) -> None:
    """It is ready a moment before the supervisor says so."""
    made = harness(1, steering="flow")
    left, right = made.pair()
    made.away(0)
    left.send(0, frame(1))
    made.settle()
    assert right.receive(0) == [frame(1)]


def test_what_waits_for_a_worker_that_goes_away_is_dropped_by_name(harness: MakeHarness) -> None:
    made = harness(2)
    left, right = made.connect(0, peer=1), made.connect(1, peer=0, queues=1)
    left.send(1, *(frame(n) for n in range(6)))
    made.step(1)
    made.kill(0)
    assert made.recover(0) == 0
    made.away(0)
    assert made.drop_waiting(0) == 6
    assert made.drop_waiting(0) == 0
    assert made.orphan_drops() == {"no_worker": 6}
    made.check_conservation()
    made.run(1)  # its frames are free again
    lib.ttf_run_state_reset(made.rings, 0)
    made.new_worker(0)
    made.away()
    left.send(1, frame(7))
    made.settle()
    assert right.receive(0) == [frame(7)]


# ------------------------------------------------------------------------------------- malformed rings

INDICES = [
    ("producer", "tail", 0x40000000),
    ("producer", "tail", -1),
    ("producer", "tail", 9),
    ("producer", "reclaimed", 1),
    ("producer", "reclaimed", -9),
    ("consumer", "head", 1),
    ("consumer", "head", -1),
    ("consumer", "claimed", 0x80000000 - 1),
    ("consumer", "claimed", -1),
]


@pytest.mark.parametrize("start", [0, 2**32 - 6])
@pytest.mark.parametrize(("end", "index", "by"), INDICES)
def test_a_ring_that_makes_no_sense_is_found_and_emptied(
    harness: MakeHarness, start: int, end: str, index: str, by: int
) -> None:
    made = harness(2, slots=8, frames=64, batch=8, start=start)
    left, right = made.connect(0, peer=1), made.connect(1, peer=0, queues=1)
    left.send(1, *(frame(n) for n in range(5)))
    made.settle()
    assert len(right.receive(0)) == 5
    made.run(1, 10**6)  # idle: reclaims
    seen = ffi.new("struct ttf_ring_indices *")
    assert lib.ttf_rings_contradiction(made.rings, 0, seen) == -1
    if (index, by) == ("tail", 9):
        left.send(1, *(frame(n) for n in range(5)))  # five wait, and it says fourteen
        made.step(1)
    half = getattr(made.ring(1, 0), end)
    setattr(half, index, (getattr(half, index) + by) % 2**32)
    number = lib.ttf_rings_contradiction(made.rings, 0, seen)
    assert number == 1 * 2 + 0
    assert lib.ttf_rings_contradiction(made.rings, number + 1, seen) == -1
    waiting = made.waiting()
    for w in (0, 1):
        made.kill(w)
    lib.ttf_recover_ring(made.guard, made.rings, 1, 0)
    assert lib.ttf_rings_contradiction(made.rings, 0, seen) == -1
    assert [made.revive(w) for w in (0, 1)] == [waiting, 0]
    assert made.waiting() == 0
    sent = [frame(100 + n) for n in range(30)]
    assert made.pump([(left, 1, data) for data in sent], burst=4)[1, 0] == sent

# SPDX-License-Identifier: Apache-2.0
"""Steering flow: one worker forwards both directions of a flow, in order, from any input queue.

netns            instance, 4 workers            netns
[p0]============( p0, 4 queues = 4 queues, p1 )============[p1]
                     rings between the workers
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from forwarder.stats.snapshot import Snapshot
from tests.netns.checks import assert_devices_agree
from tests.netns.frames import assert_same, flow_frames, fragments
from tests.netns.topology import Side, lab
from tests.support.drivers import PLAIN
from tests.support.instance import Instance, instance

QUEUES = 4
FLOWS = 24


@contextmanager
def flow_steering(driver: str) -> Iterator[tuple[Instance, Side, Side]]:
    with (
        lab(driver, driver) as it_lab,
        instance(it_lab.config("xconnect", queues=QUEUES, steering="flow")) as it,
    ):
        left, right = it_lab.sides
        yield it, left, right


def sent_by_queue(snapshot: Snapshot, port: str) -> list[int]:
    found = next(one for one in snapshot.ports if one.name == port)
    return [queue.counters.tx_packets for queue in found.queues]


def queues_that_send(it: Instance, source: Side, sink: Side, frames: list[bytes]) -> set[int]:
    """Send frames, wait until all have crossed, and return the sink's queues that sent them."""
    before = sent_by_queue(it.stats(), sink.device)
    source.send(frames)
    after = sent_by_queue(
        it.wait(
            lambda now: sum(sent_by_queue(now, sink.device)) == sum(before) + len(frames),
            f"{len(frames)} packets sent by {sink.device}",
        ),
        sink.device,
    )
    return {queue for queue in range(QUEUES) if after[queue] > before[queue]}


@pytest.mark.parametrize("driver", PLAIN)
@pytest.mark.parametrize("make", [lambda n, forth: flow_frames(n, 6, forth=forth), fragments])
def test_both_directions_leave_through_one_worker(
    driver: str, make: Callable[[int, bool], list[bytes]]
) -> None:
    with flow_steering(driver) as (it, left, right):
        owners: list[int] = []
        for flow in range(FLOWS):
            there = queues_that_send(it, left, right, make(flow, True))
            back = queues_that_send(it, right, left, make(flow, False))
            assert there == back, f"flow {flow}"
            assert len(there) == 1, f"flow {flow}"
            owners += there
        assert len(set(owners)) > 1  # by more than one worker
        settled = it.settled()
        assert sum(ring.pushed_packets for ring in settled.rings) > 0  # otherwise nothing was steered
        assert_devices_agree(it, left, right)


@pytest.mark.parametrize("driver", PLAIN)
def test_every_flow_stays_whole_and_in_order(driver: str) -> None:
    with flow_steering(driver) as (it, left, right):
        with left.capture() as at_left, right.capture() as at_right:
            for round_ in range(3):
                there, back = (
                    [flow_frames(flow, 12, 114 + 5 * flow, forth, round_ * 12) for flow in range(FLOWS)]
                    for forth in (True, False)
                )
                left.send(sent_left := [frame for burst in zip(*there, strict=True) for frame in burst])
                right.send(sent_right := [frame for burst in zip(*back, strict=True) for frame in burst])
                assert_same(at_right.take(len(sent_left)), sent_left)
                assert_same(at_left.take(len(sent_right)), sent_right)
            pieces = [piece for flow in range(FLOWS) for piece in fragments(flow)]
            left.send(pieces)
            assert_same(at_right.take(len(pieces)), pieces)
        assert_devices_agree(it, left, right)
        assert sum(ring.popped_packets for ring in it.stats().rings) > 0

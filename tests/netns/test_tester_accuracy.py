# SPDX-License-Identifier: Apache-2.0
"""The instrument measures devices whose truth is known, and is judged by what the device recorded itself."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from forwarder.errors import DeviceError
from forwarder.results.model import Way
from forwarder.tester.open import Receiving
from forwarder.tester.traffic import Traffic
from forwarder.tester.trial import Load
from tests.support.commands import ip
from tests.support.fake_dut.device import Behaviour, Book, FakeDut
from tests.support.fake_dut.measuring import instrument

# A rate that the tester keeps on any machine. What it leaves out on a busy one isn't sent, so isn't lost.
LOAD = Load(per_s=100_000, duration_s=0.5)
TRIALS = 10


def assert_true(way: Way, book: Book) -> None:
    """Each frame is where the device says that it is."""
    assert way.sent == book.received
    assert way.received + way.duplicates == book.sent
    assert way.lost == book.dropped + book.held
    assert (way.duplicates, way.reordered, way.stale) == (book.duplicated, book.displaced, 0)


def measured_ways(
    dut: FakeDut,
    wanted: Sequence[Behaviour],
    load: Load = LOAD,
    *,
    traffic: Traffic | None = None,
    receiving: Receiving = "xdp",
) -> list[tuple[Way, Book]]:
    """A trial, judged: one without frames that came too fast for the tester's receiver, as it says itself.

    `wanted`: of each direction.
    """
    directions = (dut.forward, dut.backward)[: len(wanted)]
    for _ in range(TRIALS):
        for direction, behaviour in zip(directions, wanted, strict=True):
            direction.behave(behaviour)
        with instrument(dut, traffic, receiving=receiving) as opened:
            sent = opened.trial(load)
        if not any(sent.books.receiver_dropped):
            break
    judged = [(way, direction.book()) for way, direction in zip(sent.ways, directions, strict=True)]
    for way, book in judged:
        assert_true(way, book)
    return judged


def measured(
    dut: FakeDut,
    wanted: Behaviour,
    load: Load = LOAD,
    *,
    traffic: Traffic | None = None,
    receiving: Receiving = "xdp",
) -> tuple[Way, Book]:
    """The same, in one direction."""
    (judged,) = measured_ways(dut, (wanted,), load, traffic=traffic, receiving=receiving)
    return judged


@pytest.mark.parametrize("receiving", ["xdp", "tc", "packet"])
@pytest.mark.parametrize(("one_in", "frames"), [(100, 50_000), (14_285, 200_000)])
def test_one_in_n(dut: FakeDut, receiving: Receiving, one_in: int, frames: int) -> None:
    burst = Load(per_s=200_000, duration_s=1, burst_frames=frames)
    way, book = measured(dut, Behaviour(drop_every=one_in), burst, receiving=receiving)
    assert way.sent == frames
    assert way.lost == book.dropped_every == frames // one_in


def test_seven_duplicates_and_five_displaced_frames_in_a_million(dut: FakeDut) -> None:
    wanted = Behaviour(duplicate_every=140_000, displace_every=190_000, displace_by=3)
    way, _ = measured(dut, wanted, Load(per_s=1e6, duration_s=1, burst_frames=1_000_000))
    assert (way.sent, way.received, way.lost) == (1_000_000, 1_000_000, 0)
    assert (way.duplicates, way.reordered, way.reordered_extent) == (7, 5, 3)


def test_a_burst_of_losses(dut: FakeDut) -> None:
    way, _ = measured(dut, Behaviour(lose_from=1000, lose_count=300))
    assert way.lost == 300


def test_losses_at_the_end(dut: FakeDut) -> None:
    """Nothing that arrives tells of them: the generator does."""
    way, _ = measured(dut, Behaviour(die_after=20_000), Load(per_s=1e5, duration_s=1, burst_frames=25_000))
    assert (way.received, way.lost) == (20_000, 5_000)


def test_a_limit_of_the_rate(dut: FakeDut) -> None:
    """Delivered is what the device let pass, whatever the clock says that this should have been."""
    way, book = measured(dut, Behaviour(limit_per_s=300_000), Load(per_s=400_000, duration_s=1))
    assert way.received == book.sent
    assert way.lost == book.dropped_limit > 0


def test_both_directions_at_once(dut: FakeDut) -> None:
    """Each by its own book."""
    wanted = (Behaviour(drop_every=50), Behaviour(drop_every=70, duplicate_every=1000))
    for way, _ in measured_ways(dut, wanted, traffic=Traffic(directions=2, flows=64)):
        assert way.lost
        assert way.received


@pytest.mark.parametrize(
    "traffic",
    [
        Traffic(sizes="60x7,566x4,1514x1", flows=1000, flow_order="random"),
        Traffic(sizes="78", ip=6),
        Traffic(sizes="68", vlans=(100, 200)),
    ],
    ids=["mix", "ipv6", "vlans"],
)
def test_each_kind_of_frame(dut: FakeDut, traffic: Traffic) -> None:
    wanted = Behaviour(drop_every=90, duplicate_every=901, displace_every=1103)
    way, _ = measured(dut, wanted, traffic=traffic)
    assert way.lost
    assert way.duplicates
    assert way.reordered


def test_a_device_that_vanishes(dut_of_its_own: FakeDut) -> None:
    """While nothing arrives any more, and the tester waits: it says which device is gone."""
    dut = dut_of_its_own
    with instrument(dut) as opened:
        opened.trial(Load(per_s=1000, duration_s=0.1))
        ip("link", "delete", "out", netns=dut.middle)
        with pytest.raises(DeviceError, match="right"):
            opened.trial(Load(per_s=1000, duration_s=0.1))

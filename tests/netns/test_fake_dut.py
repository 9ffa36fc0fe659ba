# SPDX-License-Identifier: Apache-2.0
"""The fake device does to frames what its book says: the instrument's tests judge by that book."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from tests.netns.topology import Side
from tests.support.fake_dut.device import Behaviour, FakeDut

_HEAD = bytes.fromhex("020000000001 020000000099 88b5")  # local experimental EtherType (IEEE 802)


def _frame(number: int, size: int = 60) -> bytes:
    return (_HEAD + struct.pack("!I", number)).ljust(size, bytes([number % 251]))


def _numbers(frames: list[bytes]) -> list[int]:
    """Asserts that each frame is as it was sent."""
    numbers = [struct.unpack_from("!I", frame, len(_HEAD))[0] for frame in frames]
    assert frames == [_frame(number, len(frame)) for number, frame in zip(numbers, frames, strict=True)]
    return numbers


def _through(dut: FakeDut, wanted: Behaviour, count: int, expected: int, *, back: bool = False) -> list[int]:
    """Send frames 1 to `count`; the numbers of those that arrive, in their order."""
    ends = (Side(*dut.left), Side(*dut.right))
    near, far = reversed(ends) if back else ends
    (dut.backward if back else dut.forward).behave(wanted)
    with far.capture() as capture:
        near.send([_frame(number) for number in range(1, count + 1)])
        return _numbers(capture.take(expected))


@pytest.mark.parametrize("back", [False, True])
def test_passes_everything_on(dut: FakeDut, back: bool) -> None:
    assert _through(dut, Behaviour(), 200, 200, back=back) == list(range(1, 201))
    book = (dut.backward if back else dut.forward).book()
    assert (book.received, book.sent, book.dropped) == (200, 200, 0)


def test_drops_one_in_n(dut: FakeDut) -> None:
    arrived = _through(dut, Behaviour(drop_every=7), 200, 200 - 28)
    assert arrived == [number for number in range(1, 201) if number % 7]
    assert dut.forward.book().dropped_every == 28


def test_loses_a_burst(dut: FakeDut) -> None:
    arrived = _through(dut, Behaviour(lose_from=50, lose_count=20), 200, 180)
    assert arrived == [*range(1, 50), *range(70, 201)]
    assert dut.forward.book().dropped_burst == 20


def test_dies(dut: FakeDut) -> None:
    assert _through(dut, Behaviour(die_after=120), 200, 120) == list(range(1, 121))
    assert dut.forward.book().dropped_dead == 80


def test_limits_the_rate(dut: FakeDut) -> None:
    """Whatever the time is that the sender takes, no more pass than the rate and its tolerance allow."""
    wanted = Behaviour(limit_per_s=1, limit_tolerance_ns=2_000_000_000)
    arrived = _through(dut, wanted, 200, 3)
    assert arrived[:3] == [1, 2, 3]
    book = dut.forward.book()
    assert book.dropped_limit == 200 - len(arrived)
    assert len(arrived) == book.sent < 200


def test_delays(dut: FakeDut) -> None:
    assert _through(dut, Behaviour(delay_ns=20_000), 100, 100) == list(range(1, 101))
    book = dut.forward.book()
    assert sum(book.delayed) == 100
    assert book.excess_ns(0.5) >= 0


def test_duplicates(dut: FakeDut) -> None:
    arrived = _through(dut, Behaviour(duplicate_every=25, duplicate_count=7), 200, 207)
    assert arrived == sorted([*range(1, 201), *range(25, 176, 25)])
    assert dut.forward.book().duplicated == 7


@pytest.mark.parametrize("by", [1, 3])
def test_displaces(dut: FakeDut, by: int) -> None:
    arrived = _through(dut, Behaviour(displace_every=30, displace_count=5, displace_by=by), 200, 200)
    expected = list(range(1, 201))
    for number in range(30, 151, 30):
        expected.remove(number)
        expected.insert(expected.index(number + by) + 1, number)
    assert arrived == expected
    book = dut.forward.book()
    assert (book.displaced, book.held, book.received, book.sent) == (5, 0, 200, 200)


def test_a_displaced_frame_may_have_another_size(dut: FakeDut) -> None:
    sizes = [60, 1514, 60, 400, 1514, 60, 60]
    dut.forward.behave(Behaviour(displace_every=2))
    with Side(*dut.right).capture() as capture:
        Side(*dut.left).send([_frame(number, size) for number, size in enumerate(sizes, 1)])
        frames = capture.take(len(sizes))
    assert _numbers(frames) == [1, 3, 2, 5, 4, 7, 6]
    assert [len(frame) for frame in frames] == [60, 60, 1514, 1514, 400, 60, 60]


def test_a_frame_that_nothing_overtakes_is_held(dut: FakeDut) -> None:
    assert _through(dut, Behaviour(displace_every=200), 200, 199) == list(range(1, 200))
    assert (dut.forward.book().held, dut.forward.book().displaced) == (1, 0)


def test_all_at_once(dut: FakeDut) -> None:
    wanted = Behaviour(
        drop_every=10, duplicate_every=50, displace_every=36, delay_ns=1000, lose_from=3, lose_count=2
    )
    arrived = _through(dut, wanted, 400, 400 - 40 - 2 + 7)
    book = dut.forward.book()
    assert (book.received, book.dropped_every, book.dropped_burst) == (400, 40, 2)
    assert book.sent == len(arrived) == 400 - book.dropped - book.held + book.duplicated
    assert len(arrived) - len(set(arrived)) == book.duplicated


def test_the_folder_has_all_of_it() -> None:
    """An sdist without the program couldn't test anything."""
    folder = Path(__file__).parents[1] / "support" / "fake_dut"
    assert {"fake_dut.bpf.c", "fake_dut.h"} <= {path.name for path in folder.iterdir()}

# SPDX-License-Identifier: Apache-2.0
"""The receiver in the kernel counts what comes: frames made by the test, with numbers of its choice."""

from __future__ import annotations

import os
import struct
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from forwarder.results.model import Distribution, Way
from forwarder.tester.attached import Attached
from forwarder.tester.frames import Template
from forwarder.tester.native import load
from forwarder.tester.programs import filtering, loaded, program_fd
from forwarder.tester.receiver import Receiver, match, receiver
from forwarder.tester.traffic import Traffic
from forwarder.tester.trial import Endpoint
from tests.netns.topology import Side
from tests.support.capabilities import require_tester
from tests.support.commands import in_namespace, run
from tests.support.veth import Wire
from tests.support.wait import wait_until

NOTHING = Distribution(samples=0)
WINDOW = 1 << 27


@pytest.fixture(scope="module", autouse=True)
def _tester() -> None:
    require_tester()


class Numbered:
    """Sends frames of given numbers to a receiver, and reads what that makes of them."""

    def __init__(self, ends: Wire, traffic: Traffic, it: Receiver) -> None:
        self.it = it
        self._side = Side(ends[0].netns or "", ends[0].device)
        self._template = Template(traffic, "forward", traffic.max_frame_bytes)
        self._taken = 0

    def post(self, numbers: Sequence[int], *, late_ns: int = 0, sent_ns: int | None = None) -> None:
        """Send, and don't wait. `sent_ns`: what the stamps say, by default the time."""
        sent_ns = time.monotonic_ns() if sent_ns is None else sent_ns
        stamps = [struct.pack("!IIQ", number % 2**32, late_ns, sent_ns) for number in numbers]
        self._side.send([self._template.build(0, stamp) for stamp in stamps])

    def send(self, numbers: Sequence[int], **keys: int) -> None:
        before = self.it.seen
        self.post(numbers, **keys)
        wait_until(lambda: self.it.seen - before == len(numbers), "the receiver has seen every frame")

    def read(self, *first_of_seconds: int) -> Way:
        return self.it.read(first_of_seconds[-1], first_of_seconds, NOTHING)


@contextmanager
def numbered(ends: Wire, traffic: Traffic | None = None, hook: Any = "tc") -> Iterator[Numbered]:
    chosen = traffic or Traffic(sizes="100")
    with receiver("forward", Attached.find(ends[1]), chosen, hook) as it:
        it.begin(time.monotonic_ns())
        yield Numbered(ends, chosen, it)


@pytest.mark.parametrize("hook", ["tc", "xdp"])
@pytest.mark.parametrize(
    "traffic",
    [
        Traffic(),
        Traffic(sizes="1514"),
        Traffic(sizes="78", ip=6),
        Traffic(sizes="64", vlans=(3,)),
        Traffic(sizes="86", ip=6, vlans=(3, 4)),
    ],
    ids=lambda each: f"ipv{each.ip} {each.sizes} {len(each.vlans)} tags",
)
def test_every_kind_is_known(ends: Wire, traffic: Traffic, hook: Any) -> None:
    """Sent by a packet socket, which leaves all but the Ethernet header in other pages."""
    with numbered(ends, traffic, hook) as sender:
        sender.send(range(20))
        assert sender.it.foreign == 0
        way = sender.read(0, 20)
    assert (way.sent, way.received, way.stale) == (20, 20, 0)


def test_duplicates_and_displaced_frames(ends: Wire) -> None:
    with numbered(ends) as sender:
        sender.send([0, 1, 2, 4, 3, 3, 5, 9, 6, 7, 0])  # 8 is lost, 3 and 0 come twice
        way = sender.read(0, 5, 10)
    assert (way.received, way.lost, way.duplicates) == (9, 1, 2)
    assert (way.reordered, way.reordered_extent) == (3, 3)  # 3, 6 and 7; 6 comes behind 9
    assert way.lost_each_second == (0, 1)
    assert way.path.samples == way.response.samples == 9


def test_the_last_frames_are_lost_too(ends: Wire) -> None:
    """A bitmap alone can't tell: the sender knows how many there were."""
    with numbered(ends) as sender:
        sender.send(range(90))
        way = sender.read(0, 100)
    assert (way.lost, way.lost_each_second) == (10, (10,))


def test_old_frames_are_stale(ends: Wire) -> None:
    with numbered(ends) as sender:
        sender.send(range(5), sent_ns=1)
        sender.send(range(3))
        way = sender.read(0, 3)
    assert (way.received, way.stale) == (3, 5)


def test_response_is_longer_than_path_by_the_lateness(ends: Wire) -> None:
    with numbered(ends) as sender:
        sender.send([0], late_ns=2_000_000_000)
        way = sender.read(0, 1)
    assert way.path.max_ns is not None
    assert way.response.max_ns == way.path.max_ns + 2_000_000_000


def test_a_gap_is_told(ends: Wire) -> None:
    with numbered(ends) as sender:
        sender.send([0])
        time.sleep(0.1)
        sender.send([1])
        way = sender.read(0, 2)
    assert way.longest_gap_ns is not None
    assert way.longest_gap_ns >= 100_000_000


def test_frames_may_come_on_any_cpu(ends: Wire) -> None:
    """A veth receives on its sender's CPU."""
    cpus = sorted(os.sched_getaffinity(0))
    with numbered(ends) as sender:

        def send(cpu: int, numbers: Sequence[int]) -> None:
            os.sched_setaffinity(0, {cpu})  # of this thread
            for number in numbers:
                sender.post([number])

        threads = [
            threading.Thread(target=send, args=(cpu, range(index, 400, len(cpus))))
            for index, cpu in enumerate(cpus)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        wait_until(lambda: sender.it.seen == 400, "the receiver has seen every frame")
        way = sender.read(0, 400)
    assert (way.received, way.duplicates, way.lost_each_second) == (400, 0, (0,))
    assert way.path.samples == 400


def test_numbers_wrap(ends: Wire) -> None:
    """After 2^32 frames, and the window many times over."""
    at = 2**32 - 5
    with numbered(ends) as sender:
        shared = sender.it._all
        shared.next = shared.floor = at
        sender.send([at, at + 1, at + 3, at + 5, at + 4, at + 6])
        assert (sender.it.received, shared.next) == (6, at + 7)
        sender.it._lost_each_second = [0]  # the frames before
        sender.it._counted_off = at
        way = sender.read(0, at, at + 5, at + 7)
    assert (way.reordered, way.reordered_extent) == (1, 1)
    assert way.lost_each_second == (0, 1, 0), f"{at + 2} is lost"


def test_the_window_moves_on(ends: Wire) -> None:
    with numbered(ends) as sender:
        sender.send(range(10))
        sender.send([12, 13])
        sender.it.count_off([0, 12, 14])
        assert sender.it._all.floor == 0, "all of them may still be awaited"
        sender.send([WINDOW - 1])
        sender.it.count_off([0, 12, WINDOW])
        assert sender.it._all.floor == 12
        sender.send([11, WINDOW + 2])  # too late for the window, and in the place that 2 had
        way = sender.read(0, 12, WINDOW + 3)
    assert way.received == 14
    assert way.duplicates == 0
    assert way.stale == 1
    assert way.lost_each_second == (2, WINDOW + 3 - 12 - 4)


def test_a_window_that_is_too_small_is_an_error(ends: Wire) -> None:
    with numbered(ends) as sender:
        sender.send([0, WINDOW])
        with pytest.raises(Exception, match="the receiver's window is full"):
            sender.it.count_off([0, WINDOW])


def test_a_trial_begins_with_an_empty_window(ends: Wire) -> None:
    with numbered(ends) as sender:
        sender.send(range(100))
        sender.it.begin(time.monotonic_ns())
        sender.send(range(100))
        way = sender.read(0, 100)
        assert (way.received, way.duplicates) == (100, 0)
        sender.it.begin(time.monotonic_ns())
        sender.send(range(10))
        assert sender.read(0, 10).received == 10


def test_a_kernel_without_links_for_tc(ends: Wire) -> None:
    """A filter of clsact does the same. A clsact that was there, with its filters, stays."""
    native, found = load(), Attached.find(ends[1])
    config = native.ffi.new("struct ttf_receiver_config *", match("forward", Traffic()))
    with loaded(lambda: native.lib.ttf_load_receiver(config, 1)) as programs:
        program = program_fd(programs, "receive_tc")
        with filtering(program, found):
            with filtering(program, found):
                assert _filters(ends[1]) == 2
            assert _filters(ends[1]) == 1
        assert _filters(ends[1]) == 0


def _filters(end: Endpoint) -> int:
    """How many there are at the device's ingress."""
    qdiscs = run(*in_namespace(end.netns or "", "tc", "qdisc", "show", "dev", end.device)).stdout
    command = ("tc", "filter", "show", "dev", end.device, "ingress")
    found = run(*in_namespace(end.netns or "", *command), code=None).stdout.count("direct-action")
    assert (found > 0) == ("clsact" in qdiscs)
    return found

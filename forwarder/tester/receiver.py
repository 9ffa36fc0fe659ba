# SPDX-License-Identifier: Apache-2.0
"""The receiver in the kernel, of one way (native/tester/receiver.h): it counts the frames that come.

with receiver(direction, device, traffic, hook="tc") as it:
    it.begin(start_ns)
    ...
    it.count_off(first_of_seconds)    # in a long trial, now and then
    way = it.read(...)
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from forwarder.config.cpus import parse_cpu_list
from forwarder.errors import TtfwdError
from forwarder.results.model import Direction, Distribution, Way
from forwarder.tester.attached import Attached
from forwarder.tester.frames import sources
from forwarder.tester.histogram import distribution
from forwarder.tester.native import load
from forwarder.tester.programs import Hook, attached, loaded, map_memory
from forwarder.tester.structs import cleared, counts_of
from forwarder.tester.traffic import Traffic

if TYPE_CHECKING:
    from forwarder.tester.native import CData, ttf_received, ttf_receiver

_POSSIBLE_CPUS = "/sys/devices/system/cpu/possible"
_WINDOW = 1 << 27  # numbers: 2 ** TTF_WINDOW_LOG2
_KEPT = _WINDOW // 2  # behind the highest number that came: where a frame may still be awaited
_JITTER_FRACTION = 16
_SETTLE_S = 0.001


class Receiver:
    """Made by receiver(). One trial at a time."""

    timestamps: Literal["kernel", "nic"] = "kernel"

    def __init__(
        self,
        direction: Direction,
        device: Attached,
        all_: ttf_receiver,
        each: ttf_received,
        window: CData,
        cpus: int,
    ) -> None:
        self.direction = direction
        self.device = device
        self._all, self._each, self._words = all_, each, window
        self._cpus = range(cpus)
        self._lost_each_second: list[int] = []
        self._counted_off = 0

    def begin(self, start_ns: int) -> None:
        """From now on, count the frames that are sent after `start_ns`. All others are stale."""
        self._end()
        cleared(self._all)
        cleared(self._each, len(self._cpus))
        self._lost_each_second, self._counted_off = [], 0
        self._all.start_ns = start_ns

    def count_off(self, first_of_seconds: Sequence[int]) -> None:
        """Settle the seconds of which no frame is awaited any more: the window has to move on.

        Raises TtfwdError if that comes too late.
        """
        if sum(each.beyond for each in self._cells):
            raise TtfwdError("the receiver's window is full: this process got no CPU time for too long")
        over = [first for first in first_of_seconds[:-1] if first <= self._all.next - _KEPT]
        if len(over) - 1 > len(self._lost_each_second):
            self._all.floor = over[-1]
            time.sleep(_SETTLE_S)  # for a program that has read the old floor
            self._settle(over)

    @property
    def received(self) -> int:
        """Different frames, so far."""
        return sum(each.frames for each in self._cells)

    @property
    def seen(self) -> int:
        """All frames of this trial so far that reached the receiver, those of others too."""
        return sum(
            each.frames + each.duplicates + each.stale + each.beyond + each.foreign for each in self._cells
        )

    @property
    def foreign(self) -> int:
        """Frames of this trial so far that aren't of this way. They were passed on."""
        return sum(each.foreign for each in self._cells)

    def read(self, intended: int, first_of_seconds: Sequence[int], lateness: Distribution) -> Way:
        """What the trial was. The generator's side is given; its last number is the count of frames sent.

        Frames that come later are stale.
        """
        sent = first_of_seconds[-1]
        cells = [each for each in self._cells if each.frames]
        received = self.received
        way = Way(
            direction=self.direction,
            intended=intended,
            sent=sent,
            unsent=intended - sent,
            received=received,
            duplicates=sum(each.duplicates for each in self._cells),
            reordered=sum(each.reordered for each in cells),
            reordered_extent=max((each.reordered_extent for each in cells), default=0),
            stale=sum(each.stale for each in self._cells),
            path=distribution(counts_of(each.path) for each in cells),
            response=distribution(counts_of(each.response) for each in cells),
            lateness=lateness,
            ipdv=distribution(counts_of(each.ipdv) for each in cells),
            rfc3550_jitter_ns=sum(each.frames * each.jitter for each in cells) / received / _JITTER_FRACTION
            if received
            else None,
            longest_gap_ns=self._all.longest_gap_ns or None,
        )
        self.stop()
        self._settle(first_of_seconds)
        return way.model_copy(update={"lost_each_second": tuple(self._lost_each_second)})

    @property
    def dropped(self) -> int:
        """Frames of the last trial that came, and that it had no room for."""
        return 0

    @property
    def clock_step_ns(self) -> int | None:
        """By how much the clock of its stamps was set during the last trial. None: nobody can set it."""
        return None

    def stop(self) -> None:
        """Return when nothing is counted any more."""
        self._all.start_ns = 0
        time.sleep(_SETTLE_S)

    @property
    def _cells(self) -> Iterator[ttf_received]:
        return (self._each + cpu for cpu in self._cpus)

    def _settle(self, first_of_seconds: Sequence[int]) -> None:
        """Count what was lost in each second but those counted before. Nothing writes their bits any more."""
        take = load().lib.ttf_window_take
        for first, end in pairwise(first_of_seconds[len(self._lost_each_second) :]):
            self._lost_each_second.append(end - first - take(self._words, first, end))
        self._counted_off = first_of_seconds[-1]

    def _end(self) -> None:
        """Clear what an interrupted trial left in the window."""
        self.stop()
        load().lib.ttf_window_take(self._words, self._counted_off, max(self._counted_off, self._all.next))


def match(direction: Direction, traffic: Traffic) -> dict[str, int]:
    """What tells a way's frames from others: struct ttf_receiver_config."""
    source, sink = (
        int.from_bytes(address[:size], sys.byteorder)
        for address in sources(traffic.ip, direction)
        for size in (4 if traffic.ip == 4 else 8,)
    )
    return {"ip": traffic.ip, f"source{traffic.ip}": source, f"sink{traffic.ip}": sink}


@contextmanager
def receiver(direction: Direction, device: Attached, traffic: Traffic, hook: Hook) -> Iterator[Receiver]:
    """Attached to the device. Raises TtfwdError: the kernel refuses, or the device is somebody else's."""
    native = load()
    config = native.ffi.new("struct ttf_receiver_config *", match(direction, traffic))
    cpus = parse_cpu_list(Path(_POSSIBLE_CPUS).read_text().strip())[-1] + 1
    with (
        loaded(lambda: native.lib.ttf_load_receiver(config, cpus)) as programs,
        attached(programs, f"receive_{hook}", hook, device),
    ):
        yield Receiver(
            direction,
            device,
            native.ffi.cast("struct ttf_receiver *", map_memory(programs, "receiver")),
            native.ffi.cast("struct ttf_received *", map_memory(programs, "received")),
            map_memory(programs, "window"),
            cpus,
        )

# SPDX-License-Identifier: Apache-2.0
"""The tester's two ends, and what sends and receives there: one trial from beginning to end."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Literal

from forwarder.errors import DeviceError, TtfwdError, UsageError
from forwarder.results.model import Way
from forwarder.tester.attached import Attached
from forwarder.tester.device_counters import Counters, read_counters
from forwarder.tester.generator import MAX_DURATION_S, Generator, Kind, intended_frames
from forwarder.tester.receiver import Receiver
from forwarder.tester.trial import Books, Load, Sent

BATCH_ABOVE_PER_S = 1.2e6  # of one generator: it can't hand over more frames than that one by one
_LARGER_BATCH = 4
_LEAD_NS = 2_000_000  # from the decision to begin to the first frame
_POLL_S = 0.002
_LOOK_S = 10.0  # how often a long trial looks after its devices and its window
_OVERDUE_S = 30.0


@dataclass(frozen=True)
class Passage:
    """One way: where it begins, and its receiver."""

    source: Attached
    generator: Generator
    index: int  # among the generator's ways
    receiver: Receiver


class KernelTester:
    """Made by open_tester(), which gives it what it owns: `undo` closes that."""

    def __init__(
        self, passages: Sequence[Passage], sending: Kind, drain_s: float, quiet_s: float, undo: ExitStack
    ) -> None:
        self.sending = sending
        self._passages = tuple(passages)
        self._generators = tuple(dict.fromkeys(passage.generator for passage in passages))
        self._drain_s = drain_s
        self._quiet_s = quiet_s
        self._undo = undo

    @property
    def pids(self) -> frozenset[int]:
        return frozenset(generator.pid for generator in self._generators)

    @property
    def timestamps(self) -> Literal["kernel", "nic"]:
        kinds = {passage.receiver.timestamps for passage in self._passages}
        return "nic" if kinds == {"nic"} else "kernel"

    def trial(self, load: Load, rest: Callable[[], None] = lambda: None) -> Sent:
        assert self._passages, "a tester that is closed"
        _require_sane(load)
        began_ns = time.monotonic_ns()
        for device in self._devices:
            device.require_there()
        before = _read_all(self._devices)
        for passage in self._passages:
            passage.receiver.begin(began_ns)
        try:
            self._send(load)
        finally:
            for generator in self._generators:
                generator.stop()
        self._drain()
        came = self._received()
        rest()
        if self._received() != came:
            self._drain()
        for device in self._devices:
            device.require_there()
        moved = {
            device: counters.since(before[device]) for device, counters in _read_all(self._devices).items()
        }
        books = self._books(moved)
        ways = tuple(self._way(passage, load) for passage in self._passages)
        for passage, way in zip(self._passages, ways, strict=True):
            _require_taken(passage.source, moved[passage.source], way)
        return Sent(
            ways=ways,
            books=books,
            whole_s=(time.monotonic_ns() - began_ns) / 1e9,
            preemptions=sum(generator.preemptions for generator in self._generators),
            clock_step_ns=max(
                (step for each in self._passages if (step := each.receiver.clock_step_ns) is not None),
                default=None,
            ),
        )

    def close(self) -> None:
        self._passages = self._generators = ()  # their memory goes
        self._undo.close()

    # ------------------------------------------------------------------------------------ sending

    def _send(self, load: Load) -> None:
        """From the first frame to the last one."""
        for generator in self._generators:
            generator.begin(load, self._batch(load, generator))
        start_ns = time.monotonic_ns() + _LEAD_NS
        for generator in self._generators:
            generator.start(start_ns)
        end_s = start_ns / 1e9 + (0 if load.burst_frames else load.duration_s)
        while not all(generator.finished for generator in self._generators):
            left_s = end_s - time.monotonic()
            if left_s < -_OVERDUE_S:
                raise TtfwdError("the generator got no CPU time, and didn't finish")
            time.sleep(min(max(left_s, _POLL_S), _LOOK_S))
            for generator in self._generators:
                generator.require_running()
            if left_s > _LOOK_S:
                self._look()

    def _look(self) -> None:
        for device in self._devices:
            device.require_there()
        for passage in self._passages:
            passage.receiver.count_off(passage.generator.first_of_seconds(passage.index))

    def _batch(self, load: Load, generator: Generator) -> int:
        """How many frames a generator hands over together.

        More are faster, and make `path` longer by up to their number times 0.1 us. A tap would then not say
        how many frames it refused.
        """
        into_tap = any(way.device.kind == "tun" for way in generator.ways)
        if load.burst_frames or into_tap or self.sending == "packet":
            return 1
        return _LARGER_BATCH if load.per_s * len(generator.ways) > BATCH_ABOVE_PER_S else 1

    # ---------------------------------------------------------------------------------- the end

    def _drain(self) -> None:
        """Wait for stragglers."""
        deadline = time.monotonic() + self._drain_s
        quiet_since, before = time.monotonic(), -1
        while time.monotonic() < min(deadline, quiet_since + self._quiet_s):
            received = self._received()
            if received == [passage.generator.sent(passage.index) for passage in self._passages]:
                return
            if sum(received) != before:
                quiet_since, before = time.monotonic(), sum(received)
            time.sleep(_POLL_S)

    def _received(self) -> list[int]:
        return [passage.receiver.received for passage in self._passages]

    def _way(self, passage: Passage, load: Load) -> Way:
        generator, index = passage.generator, passage.index
        unstamped = generator.unstamped(index)
        way = passage.receiver.read(
            intended_frames(load) - unstamped, generator.first_of_seconds(index), generator.lateness(index)
        )
        return way.model_copy(update={"unstamped": unstamped, "batch": self._batch(load, generator)})

    def _books(self, moved: dict[Attached, Counters]) -> Books:
        """A sink's own count has the frames of others, too, which its receiver has counted by themselves."""
        sinks = [(passage.receiver, moved[passage.receiver.device].rx_packets) for passage in self._passages]
        return Books(
            refused=tuple(_refused(passage, moved[passage.source]) for passage in self._passages),
            arrived=tuple(max(packets, taker.seen) - taker.foreign for taker, packets in sinks),
            receiver_dropped=tuple(max(packets - taker.seen, taker.dropped) for taker, packets in sinks),
        )

    @property
    def _devices(self) -> tuple[Attached, ...]:
        ends = ((passage.source, passage.receiver.device) for passage in self._passages)
        return tuple(dict.fromkeys(device for end in ends for device in end))


def _read_all(devices: Sequence[Attached]) -> dict[Attached, Counters]:
    return {device: read_counters(device.endpoint) for device in devices}


def _refused(passage: Passage, moved: Counters) -> int:
    """Frames that the device which sends didn't take: as the generator knows, or else the device."""
    known = passage.generator.refused(passage.index)
    return moved.tx_dropped if known is None else known


def _require_sane(load: Load) -> None:
    """Raises UsageError."""
    if load.burst_frames is not None:
        if not 0 < load.burst_frames <= 1 << 26:
            raise UsageError(f"a burst of {load.burst_frames} frames: 1 to {1 << 26}")
        return
    if not 1 <= load.per_s <= 1e9:
        raise UsageError(f"a load of {load.per_s:g} frames/s: 1 to 1e9")
    if not 0 < load.duration_s <= MAX_DURATION_S:
        raise UsageError(f"a trial of {load.duration_s:g} s: more than 0, up to {MAX_DURATION_S}")


def _require_taken(source: Attached, moved: Counters, way: Way) -> None:
    """Raises DeviceError if the device took none of the frames, and didn't count that.

    Not of a tap: it counts a frame when its program reads it.
    """
    if source.kind == "tun" or not way.sent or way.received or moved.tx_packets or moved.tx_dropped:
        return
    hint = "; a veth takes them while its other end receives by NAPI. When that is up: ethtool -K PEER gro on"
    raise DeviceError(
        f"{source.shown}: it takes no frames from the generator{hint if source.kind == 'veth' else ''}"
    )

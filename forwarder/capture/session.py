# SPDX-License-Identifier: Apache-2.0
"""One capture, from its request to its last packet."""

from __future__ import annotations

import select
import signal
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from forwarder.capture.events import EVENTS, mask
from forwarder.capture.filter import Filter
from forwarder.capture.lines import Joiner, Line
from forwarder.capture.output import NO_ROTATION, Output, Rotation
from forwarder.capture.pcapng import Writer
from forwarder.capture.ports import Ports
from forwarder.capture.record import Record
from forwarder.capture.rings import ALL_PORTS, Rings
from forwarder.capture.sample import Sample
from forwarder.control.client import Connection
from forwarder.native import lib
from forwarder.stats.reader import StatsReader

DIRECTIONS = ("rx", "tx", "drop")
_LOOK_EVERY_S = 0.02
_PATIENCE_S = 2.0  # with workers that are to begin


@dataclass(frozen=True)
class Request:
    instance: str
    ports: Sequence[str] = ()  # none: all
    directions: Sequence[str] = DIRECTIONS
    filter: str | None = None
    count: int | None = None
    snap_bytes: int = lib.TTF_FRAME_MAX_BYTES
    sample: int = 1
    text: bool = False
    path: Path | None = None  # None: standard output
    rotation: Rotation = NO_ROTATION


@dataclass(frozen=True)
class Summary:
    written: int  # packets, or lines
    lost: tuple[int, ...]  # records, of each worker
    malformed: tuple[int, ...]


class Session:
    """Use as a context manager; then run()."""

    def __init__(self, request: Request, application: str) -> None:
        """The workers capture from here on, but for those in `late`. Raises TtfwdError, and makes no file."""
        self._request = request
        self._directions = mask(request.directions)
        self._filter = Filter(request.filter) if request.filter else None
        self._sample = Sample(request.sample) if request.sample > 1 else None
        self._follows_frames = request.text or self._sample is not None
        self._unix_ns = time.time_ns() - time.monotonic_ns()
        self._lost: tuple[int, ...] = ()
        self._told: dict[int, int] = {}
        self._written = 0
        self._stopping = False
        with ExitStack() as stack:
            reader = stack.enter_context(StatsReader.attach(request.instance))
            self._ports = Ports(reader, request.ports)
            self._connection = stack.enter_context(Connection(request.instance))
            self._rings = stack.enter_context(self._begin())
            self.late = self._rings.wait(self._word, _PATIENCE_S)
            self._joiner = Joiner(self._ports.name, self._unix_ns)
            self._writer = Writer(application, request.snap_bytes, request.filter, self._unix_ns)
            begin = self._writer.begin if not request.text else bytes
            end = (lambda: self._writer.end(self._lost)) if not request.text else bytes
            self._output = Output(request.path, request.rotation, begin, end)
            self._stack = stack.pop_all()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _begin(self) -> Rings:
        events = EVENTS if self._follows_frames else self._request.directions
        # A filter looks at whole frames, also where less of them is written.
        keep = lib.TTF_FRAME_MAX_BYTES if self._filter else self._request.snap_bytes
        self._word = mask(events) << lib.TTF_CAPTURE_SHIFT | keep
        params = {"events": list(events), "bytes": keep}
        _, fds = self._connection.call_for_fds("capture", params, lib.TTF_MAX_WORKERS)
        return Rings(fds, mask(events))

    def run(self) -> Summary:
        """Write packets until a signal, the last one asked for, the instance's end, or nobody reads any more.

        Raises TtfwdError: the output can't be written.
        """
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._stop)
        try:
            while not self._stopping:
                ended, _, _ = select.select([self._connection], [], [], _LOOK_EVERY_S)
                self._turn(last=bool(ended))
                self._stopping = self._stopping or bool(ended)
            if not self._has_all():
                self._turn(last=True)
                self._write_lines(self._joiner.end())
            self._output.close()
        except BrokenPipeError:
            pass
        except BaseException:
            self._output.abandon()
            raise
        return Summary(self._written, self._rings.lost, self._rings.malformed)

    def _stop(self, number: int, _: object) -> None:
        self._stopping = True
        signal.signal(number, signal.SIG_DFL)  # a second one ends a write that blocks, too

    def _has_all(self) -> bool:
        return self._request.count is not None and self._written >= self._request.count

    def _turn(self, last: bool) -> None:
        ports = self._ports.look()
        self._rings.only(ALL_PORTS if self._follows_frames else ports)
        records = self._rings.take(everything=last)
        if self._rings.lost != self._lost:
            self._lost = self._rings.lost
            self._joiner.forget()
            if self._sample is not None:
                self._sample.forget()
        for record in records:
            if self._has_all():
                break
            self._put(record)
        if self._has_all():
            self._stopping = True
        self._output.flush_when_due()

    def _put(self, record: Record) -> None:
        passes = self._filter is None or self._filter.passes(record)
        if self._sample is not None and not self._sample.has(record, passes):
            return
        if self._request.text:
            self._write_lines(self._joiner.add(record))
        elif passes and self._directions >> record.event & 1:
            port = self._ports.name(record.port, record.generation)
            if self._ports.wants(port):
                self._output.turn_when_due()
                self._output.write(self._writer.packet(record, port, self._newly_lost(record.by)))
                self._written += 1

    def _newly_lost(self, worker: int) -> int:
        """Records of this worker that were lost since it was last asked."""
        lost = self._rings.lost[worker]
        told, self._told[worker] = self._told.get(worker, 0), lost
        return lost - told

    def _write_lines(self, lines: Iterable[Line]) -> None:
        for line in lines:
            if self._shows(line) and not self._has_all():
                self._output.turn_when_due()
                self._output.write(f"{line.text}\n".encode())
                self._written += 1

    def _shows(self, line: Line) -> bool:
        shown = self._directions >> line.last.event & 1 or (
            line.received is not None and self._directions >> lib.TTF_EVENT_RX & 1
        )
        if not shown or not any(self._ports.wants(port) for port in line.ports):
            return False
        if self._filter is None or self._sample is not None:  # a sample is of frames that pass
            return True
        return self._filter.passes(line.received or line.last)

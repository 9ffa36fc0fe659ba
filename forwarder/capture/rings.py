# SPDX-License-Identifier: Apache-2.0
"""Reads the records of all workers of an instance, in the order of their times (native/capture_read.h)."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from forwarder.capture.record import Record, records
from forwarder.native import ffi, lib

if TYPE_CHECKING:
    from forwarder.native import CData, ttf_capture_reader

ALL_PORTS = 2**64 - 1
_PATIENCE_NS = 1_000_000_000  # with a worker that stands still while it writes
_CAPTURE_BYTES = ffi.sizeof("struct ttf_capture")
_LOOK_AGAIN_S = 0.001


class _Ring:
    def __init__(self, fd: int, events: int) -> None:
        self.base: CData = lib.ttf_map(fd, _CAPTURE_BYTES, False)
        if self.base == ffi.NULL:
            raise OSError(ffi.errno, os.strerror(ffi.errno))
        self.reader: ttf_capture_reader = ffi.new("struct ttf_capture_reader *")
        self.reader.base = self.base
        self.reader.events = events
        self.reader.ports = ALL_PORTS
        lib.ttf_capture_reader_start(self.reader)

    def captures(self, word: int) -> bool:
        """Whether the worker records at least what a word of the supervisor's says."""
        seen = lib.ttf_capture_seen(self.base)
        events, keep = word >> lib.TTF_CAPTURE_SHIFT, word & (1 << lib.TTF_CAPTURE_SHIFT) - 1
        return (
            seen >> lib.TTF_CAPTURE_SHIFT & events == events
            and seen & (1 << lib.TTF_CAPTURE_SHIFT) - 1 >= keep
        )

    def close(self) -> None:
        lib.ttf_unmap(self.base, _CAPTURE_BYTES)


class Rings:
    """Use as a context manager."""

    def __init__(self, fds: Sequence[int], events: int) -> None:
        """One descriptor for each worker, which are closed. `events`: 1 << enum ttf_event. Raises OSError."""
        self._rings: list[_Ring] = []
        self._waiting: list[Record] = []
        self._copied = ffi.new("uint8_t[]", lib.TTF_CAPTURE_BYTES)
        try:
            for fd in fds:
                self._rings.append(_Ring(fd, events))
        except OSError:
            self.close()
            raise
        finally:
            for fd in fds:
                os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        for ring in self._rings:
            ring.close()
        self._rings.clear()

    def wait(self, word: int, timeout_s: float) -> list[int]:
        """Wait until workers record what a word of the supervisor's says. Returns those that don't."""
        until = time.monotonic() + timeout_s
        while late := [w for w, ring in enumerate(self._rings) if not ring.captures(word)]:
            if time.monotonic() > until:
                break
            time.sleep(_LOOK_AGAIN_S)
        return late

    def only(self, ports: int) -> None:
        """From now on, pass over what concerns other ports than these (1 << port id)."""
        for ring in self._rings:
            ring.reader.ports = ports

    def take(self, everything: bool = False) -> list[Record]:
        """The records since the last call, up to the moment until which no worker has more, or all."""
        for worker, ring in enumerate(self._rings):
            size = lib.ttf_capture_read(ring.reader, self._copied)
            self._waiting += records(memoryview(ffi.buffer(self._copied, size)), worker)
        self._waiting.sort(key=lambda record: record.time_ns)  # a worker's own stay in their order
        if everything:
            until_ns = 2**64
        else:
            until_ns = min(ring.reader.until_ns for ring in self._rings)
            until_ns = max(until_ns, time.monotonic_ns() - _PATIENCE_NS)
        count = sum(1 for record in self._waiting if record.time_ns < until_ns)
        taken, self._waiting = self._waiting[:count], self._waiting[count:]
        return taken

    @property
    def lost(self) -> tuple[int, ...]:
        """Of each worker: the records that were overwritten before they were read."""
        return tuple(ring.reader.lost for ring in self._rings)

    @property
    def malformed(self) -> tuple[int, ...]:
        """Of each worker: how often there was something else than a record."""
        return tuple(ring.reader.malformed for ring in self._rings)

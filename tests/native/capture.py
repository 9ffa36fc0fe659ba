# SPDX-License-Identifier: Apache-2.0
"""What the workers of a test's instance capture, as a reader sees it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.native.ext import ffi, lib

EVERY_EVENT = (1 << lib.TTF_EVENT_COUNT) - 1 & ~(1 << lib.TTF_EVENT_PAD)
ALL_PORTS = 2**64 - 1
_RECORD_BYTES = ffi.sizeof("struct ttf_captured")
_copied = ffi.new("uint8_t[]", lib.TTF_CAPTURE_BYTES)

Name = tuple[int, int]


@dataclass(frozen=True)
class Record:
    event: str
    port: int
    time_ns: int
    length: int
    kept: bytes
    name: Name  # the worker, and the frame or slot there
    origin: Name
    reason: str
    to: int
    offload: bytes  # the offload header; empty: none


def _name(name: Any) -> Name:
    return int(name.worker), int(name.index)


def _records(size_bytes: int) -> Iterator[Record]:
    at = 0
    while at < size_bytes:
        it = ffi.cast("struct ttf_captured *", _copied + at)
        kept = bytes(ffi.buffer(_copied + at + _RECORD_BYTES, it.kept))
        yield Record(
            ffi.string(lib.ttf_event_name(it.event)).decode(),
            it.port,
            it.time_ns,
            it.length,
            kept,
            _name(it.name),
            _name(it.origin),
            ffi.string(lib.ttf_drop_name(it.reason)).decode() if it.event == lib.TTF_EVENT_DROP else "",
            it.worker,
            bytes(ffi.buffer(it.vnet_hdr)) if it.offload else b"",
        )
        at += it.bytes


class Watcher:
    """A reader of one worker's records."""

    def __init__(self, base: Any, events: int = EVERY_EVENT, ports: int = ALL_PORTS) -> None:
        self.reader = ffi.new("struct ttf_capture_reader *", {"base": base, "events": events, "ports": ports})
        lib.ttf_capture_reader_start(self.reader)

    def read(self) -> list[Record]:
        return list(_records(lib.ttf_capture_read(self.reader, _copied)))


def tally(records: Iterable[Record]) -> Counter[tuple[str, int, str]]:
    """How many records there are of each event, port and reason."""
    return Counter((it.event, it.port, it.reason) for it in records)

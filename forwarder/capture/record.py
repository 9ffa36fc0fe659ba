# SPDX-License-Identifier: Apache-2.0
"""A record of what a worker captures, as Python has it: struct ttf_captured of native/abi.h."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from forwarder.native import ffi, lib

_FIELDS = struct.Struct("=IBBBBQQIIIB10sxIIII")
_SIZE = _FIELDS.size
assert ffi.sizeof("struct ttf_captured") == _SIZE
_NO_OFFLOAD = bytes(lib.TTF_VNET_HDR_BYTES)

Name = tuple[int, int]
"""Of a frame while it lives: where it is, and the worker there."""


class Record(NamedTuple):
    time_ns: int  # CLOCK_MONOTONIC
    event: int  # enum ttf_event
    by: int  # the worker that recorded it
    port: int  # port id; TTF_NO_PORT: none that lives
    generation: int  # of the port
    reason: int  # DROP: enum ttf_drop
    to: int  # HANDED: the worker that gets it
    length: int  # of the frame, 0: it couldn't be read
    kept: bytes
    offload: bytes  # the offload header; empty: it requests nothing
    name: Name
    origin: Name  # COPY: what it was made from

    @property
    def has_name(self) -> bool:
        return self.name[0] != lib.TTF_NOWHERE


def records(data: memoryview, by: int) -> Iterator[Record]:
    """The records that ttf_capture_read() copied, which has checked them."""
    at = 0
    while at < len(data):
        (size, event, port, reason, to, _, time_ns, generation, length, kept, offload, header, *names) = (
            _FIELDS.unpack_from(data, at)
        )
        yield Record(
            time_ns,
            event,
            by,
            port,
            generation,
            reason,
            to,
            length,
            bytes(data[at + _SIZE : at + _SIZE + kept]),
            header if offload and header != _NO_OFFLOAD else b"",
            (names[0], names[1]),
            (names[2], names[3]),
        )
        at += size

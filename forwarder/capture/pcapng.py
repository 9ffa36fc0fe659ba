# SPDX-License-Identifier: Apache-2.0
"""Captured packets in the form of a pcapng file, block by block: draft-ietf-opsawg-pcapng.

An interface is a port. Directions are those of the port: a packet that it received came in, one that it sent
went out. What the format has no field for is in the comment of a packet: why it was dropped, and what its
offload header requests.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from forwarder.capture.offload import description
from forwarder.capture.record import Record
from forwarder.native import lib
from forwarder.stats.counters import drop_reasons

_SECTION, _INTERFACE, _STATISTICS, _PACKET = 0x0A0D0D0A, 1, 5, 6
_BYTE_ORDER, _UNKNOWN_LENGTH = 0x1A2B3C4D, 2**64 - 1
_ETHERNET = 1  # LINKTYPE_ETHERNET
_END, _COMMENT = 0, 1
_SHB_USERAPPL = 4
_IF_NAME, _IF_TSRESOL, _IF_FILTER = 2, 9, 11
_EPB_FLAGS, _EPB_DROPCOUNT, _EPB_QUEUE = 2, 4, 6
_ISB_USRDELIV = 8
_NANOSECONDS = 9  # 10^-9 s
_DIRECTIONS = {lib.TTF_EVENT_RX: 1, lib.TTF_EVENT_TX: 2}

Option = tuple[int, bytes]
_PACKET_HEAD = struct.Struct("<IIIIIII")


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _options(options: Iterable[Option]) -> bytes:
    found = b"".join(struct.pack("<HH", code, len(value)) + _padded(value) for code, value in options)
    return found and found + struct.pack("<HH", _END, 0)


def _block(kind: int, body: bytes) -> bytes:
    size = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + size + body + size


@dataclass
class _Interface:
    number: int
    packets: int = 0


class Writer:
    """The blocks of one section, which a file or a stream consists of."""

    def __init__(self, application: str, snap_bytes: int, filter_text: str | None, unix_ns: int) -> None:
        """`unix_ns`: the time of day minus CLOCK_MONOTONIC."""
        self._application = application
        self._snap_bytes = snap_bytes
        self._filter = filter_text
        self._unix_ns = unix_ns
        self._interfaces: dict[str, _Interface] = {}
        self._reasons = tuple(drop_reasons())

    def begin(self) -> bytes:
        """The beginning of a section: of every file."""
        self._interfaces.clear()
        options = _options([(_SHB_USERAPPL, self._application.encode())])
        return _block(_SECTION, struct.pack("<IHHQ", _BYTE_ORDER, 1, 0, _UNKNOWN_LENGTH) + options)

    def packet(self, record: Record, port: str, lost: int = 0) -> bytes:
        """A packet, and before it its port if that is new. `lost`: records of its worker just before it."""
        interface = self._interfaces.get(port)
        before = b""
        if interface is None:
            interface = self._interfaces[port] = _Interface(len(self._interfaces))
            before = self._interface(port)
        interface.packets += 1
        data = record.kept[: self._snap_bytes]
        time_ns = record.time_ns + self._unix_ns
        head = _PACKET_HEAD.pack(
            _PACKET,
            _PACKET_HEAD.size + len(_padded(data)) + len(options := _options(self._about(record, lost))) + 4,
            interface.number,
            time_ns >> 32,
            time_ns & 0xFFFFFFFF,
            len(data),
            record.length,
        )
        return before + head + _padded(data) + options + head[4:8]

    def end(self, lost: Sequence[int]) -> bytes:
        """How many packets there are of each interface, and how many records each worker's reader lost."""
        options: list[Option] = []
        if any(lost):
            text = ", ".join(f"{count} records of worker {w}" for w, count in enumerate(lost) if count)
            options.append((_COMMENT, f"lost: {text}".encode()))
        return b"".join(
            _block(
                _STATISTICS,
                struct.pack("<III", interface.number, 0, 0)
                + _options([*options, (_ISB_USRDELIV, struct.pack("<Q", interface.packets))]),
            )
            for interface in self._interfaces.values()
        )

    def _interface(self, port: str) -> bytes:
        options: list[Option] = [(_IF_NAME, port.encode()), (_IF_TSRESOL, bytes([_NANOSECONDS]))]
        if self._filter:
            options.append((_IF_FILTER, b"\0" + self._filter.encode()))
        return _block(_INTERFACE, struct.pack("<HHI", _ETHERNET, 0, self._snap_bytes) + _options(options))

    def _about(self, record: Record, lost: int) -> Iterable[Option]:
        comments = [description(record.offload)] if record.offload else []
        if record.event == lib.TTF_EVENT_DROP:
            comments.insert(0, f"dropped: {self._reasons[record.reason]}")
        if comments:
            yield _COMMENT, "; ".join(comments).encode()
        if direction := _DIRECTIONS.get(record.event):
            yield _EPB_FLAGS, struct.pack("<I", direction)
        if lost:
            yield _EPB_DROPCOUNT, struct.pack("<Q", lost)
        yield _EPB_QUEUE, struct.pack("<I", record.by)

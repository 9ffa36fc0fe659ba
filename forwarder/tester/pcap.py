# SPDX-License-Identifier: Apache-2.0
"""Reads the frames of a capture file: pcap, with stamps of microseconds or nanoseconds, or pcapng.

Both formats are documented in draft-ietf-opsawg-pcap and draft-ietf-opsawg-pcapng. Times are not read: the
tester sends at a rate of its own. Frames that were cut when they were captured are refused, as they would be
sent with a length that never was on the wire.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

from forwarder.errors import UsageError

MAX_FRAMES = 1 << 20
MAX_FILE_BYTES = 1 << 30
_MIN_FRAME_BYTES = 14  # an Ethernet header
_ETHERNET = 1  # LINKTYPE_ETHERNET
_PCAP_MAGICS = (0xA1B2C3D4, 0xA1B23C4D)
_PCAP_HEADER_BYTES = 24
_PCAP_RECORD_BYTES = 16
_SECTION = 0x0A0D0D0A  # a palindrome: it is read before the byte order is known
_SECTION_MAGIC = 0x1A2B3C4D
_INTERFACE, _SIMPLE, _ENHANCED = 1, 3, 6  # types of pcapng blocks; others hold no frames
_BLOCK_BYTES = 12  # of a block without a body: type, length, length again


class _Damaged(Exception):
    """What is wrong with a file, without its name."""


def read_pcap(path: str | Path) -> tuple[bytes, ...]:
    """The frames of a file, in their order. Raises UsageError: it can't be read, or isn't usable."""
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from None
    try:
        if len(data) > MAX_FILE_BYTES:
            raise _Damaged(f"larger than {MAX_FILE_BYTES >> 20} MiB")
        return _checked(_frames(data))
    except _Damaged as error:
        raise UsageError(f"{path}: {error}") from None


def _checked(frames: Iterator[tuple[bytes, int]]) -> tuple[bytes, ...]:
    """Frames, from pairs of what was captured and how long the frame was."""
    found = []
    for number, (frame, length) in enumerate(frames, 1):
        if number > MAX_FRAMES:
            raise _Damaged(f"more than {MAX_FRAMES} frames")
        if len(frame) < length:
            raise _Damaged(
                f"frame {number} was cut to {len(frame)} of {length} bytes when it was captured: "
                "capture whole frames (tcpdump -s 0)"
            )
        if length < _MIN_FRAME_BYTES:
            raise _Damaged(f"frame {number} has {length} bytes: no Ethernet header")
        found.append(frame)
    if not found:
        raise _Damaged("it holds no frame")
    return tuple(found)


def _frames(data: bytes) -> Iterator[tuple[bytes, int]]:
    if len(data) >= 4:
        if data[:4] == struct.pack("<I", _SECTION):
            return _pcapng_frames(data)
        for order in "<>":
            if struct.unpack(f"{order}I", data[:4])[0] in _PCAP_MAGICS:
                return _pcap_frames(data, order)
    raise _Damaged("neither a pcap nor a pcapng file")


def _require_ethernet(link_type: int) -> None:
    if link_type != _ETHERNET:
        raise _Damaged(f"its link type is {link_type}, not Ethernet (1)")


def _take(data: bytes, at: int, count: int) -> bytes:
    """Raises _Damaged if the file ends before."""
    if at + count > len(data):
        raise _Damaged(f"it ends after {len(data)} bytes, within a record: it is truncated")
    return data[at : at + count]


def _pcap_frames(data: bytes, order: str) -> Iterator[tuple[bytes, int]]:
    (link,) = struct.unpack_from(f"{order}20xI", _take(data, 0, _PCAP_HEADER_BYTES))
    _require_ethernet(link & 0xFFFF)  # the upper bits tell of an FCS
    fcs_bytes = 2 * (link >> 28) if link & 1 << 26 else 0
    at = _PCAP_HEADER_BYTES
    while at < len(data):
        captured, length = struct.unpack(f"{order}8xII", _take(data, at, _PCAP_RECORD_BYTES))
        at += _PCAP_RECORD_BYTES
        frame = _take(data, at, captured)
        at += captured
        yield frame[: max(0, length - fcs_bytes)], length - fcs_bytes


def _pcapng_frames(data: bytes) -> Iterator[tuple[bytes, int]]:
    order, interfaces, at = "<", 0, 0
    snap_bytes = 0  # of the section's first interface, which is that of simple blocks
    while at < len(data):
        head = _take(data, at, _BLOCK_BYTES)
        if head[:4] == struct.pack("<I", _SECTION):
            order = "<" if head[8:] == struct.pack("<I", _SECTION_MAGIC) else ">"
            interfaces = 0
        kind, size = struct.unpack(f"{order}II", head[:8])
        damaged = _Damaged(f"the block at byte {at} is damaged")
        if size < _BLOCK_BYTES or size % 4:
            raise damaged
        body = _take(data, at, size)[8:-4]
        at += size
        try:
            if kind == _INTERFACE:
                link, snap = struct.unpack_from(f"{order}H2xI", body)
                _require_ethernet(link)
                snap_bytes = snap_bytes if interfaces else snap
                interfaces += 1
                continue
            if kind == _ENHANCED:
                captured, length = struct.unpack_from(f"{order}12xII", body)
                frame = body[20 : 20 + captured]
            elif kind == _SIMPLE:
                (length,) = struct.unpack_from(f"{order}I", body)
                captured = min(length, snap_bytes or length)
                frame = body[4 : 4 + captured]
            else:
                continue
        except struct.error:
            raise damaged from None
        if not interfaces or len(frame) < captured:
            raise damaged
        yield frame, length

# SPDX-License-Identifier: Apache-2.0
"""What an offload header (struct virtio_net_hdr) requests, in words."""

from __future__ import annotations

import struct

_FIELDS = struct.Struct("=BBHHHH")
_NEEDS_CHECKSUM = 1
_ECN = 0x80
_KINDS = {1: "TCPv4", 4: "TCPv6", 5: "UDP"}


def description(header: bytes) -> str:
    """Of a header that isn't all zero: "GSO TCPv4, 1448 bytes a packet", "checksum to be completed", ..."""
    flags, kind, _, size, _, _ = _FIELDS.unpack(header)
    if kind:
        return f"GSO {_KINDS.get(kind & ~_ECN, 'of an unknown kind')}, {size} bytes a packet"
    return "checksum to be completed" if flags & _NEEDS_CHECKSUM else "checksum verified"

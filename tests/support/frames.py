# SPDX-License-Identifier: Apache-2.0
"""Checksums of bytes, and frames grouped by flow.

Only the standard library is imported here.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")


def ones_sum(data: bytes) -> int:
    """The one's complement sum of 16-bit words (RFC 1071), not complemented."""
    data += b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def by_flow(items: Iterable[T], flow_of: Callable[[T], int]) -> dict[int, list[T]]:
    """The items of each flow, in the order that they came in."""
    flows: dict[int, list[T]] = {}
    for item in items:
        flows.setdefault(flow_of(item), []).append(item)
    return flows

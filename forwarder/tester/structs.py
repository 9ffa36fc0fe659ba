# SPDX-License-Identifier: Apache-2.0
"""Memory that is shared with programs in the kernel: clearing it, and reading histograms out of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forwarder.tester.histogram import Counts
from forwarder.tester.native import load

if TYPE_CHECKING:
    from forwarder.tester.native import CData, ttf_histogram

_INVERTED = (1 << 64) - 1


def cleared(first: CData, count: int = 1) -> None:
    """Fill the struct that this points to with zeros, or `count` of them."""
    ffi = load().ffi
    size = count * len(ffi.buffer(first))
    ffi.memmove(first, bytes(size), size)


def counts_of(histogram: ttf_histogram) -> Counts:
    ffi = load().ffi
    return Counts(
        memoryview(ffi.buffer(histogram.buckets)).cast("Q").tolist(),
        histogram.sum_ns,
        _INVERTED - histogram.least_ns,
        histogram.max_ns,
    )

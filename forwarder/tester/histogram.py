# SPDX-License-Identifier: Apache-2.0
"""Histograms as the tester's programs make them (native/tester/histogram.h), read as distributions.

Up to 511 ns each value has its bucket; from there on 256 buckets share each doubling, so that a bucket is at
most 0.4 % of its value wide.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from forwarder.results.model import Distribution

STEPS_LOG2 = 8
MAX_LOG2 = 36
BUCKETS = (MAX_LOG2 - STEPS_LOG2 + 1) << STEPS_LOG2

# A quantile is told if this many samples are above it: p99.99 of a million.
_SAMPLES_ABOVE = 100
_QUANTILES = {"p50_ns": 0.5, "p90_ns": 0.9, "p99_ns": 0.99, "p999_ns": 0.999, "p9999_ns": 0.9999}


def highest_ns(bucket: int) -> int:
    """The greatest value in a bucket."""
    octave, step = divmod(bucket, 1 << STEPS_LOG2)
    if octave == 0:
        return step
    octave -= 1
    return ((((1 << STEPS_LOG2) + step) + 1) << octave) - 1


@dataclass(frozen=True)
class Counts:
    """One histogram: how many samples are in each bucket, and what is known exactly."""

    counts: Sequence[int]
    sum_ns: int
    min_ns: int  # without a sample, these mean nothing
    max_ns: int


def distribution(parts: Iterable[Counts]) -> Distribution:
    """All their samples together."""
    parts = [part for part in parts if any(part.counts)]
    totals = [sum(counts) for counts in zip(*(part.counts for part in parts), strict=True)]
    buckets = tuple((highest_ns(bucket), count) for bucket, count in enumerate(totals) if count)
    samples = sum(count for _, count in buckets)
    if not samples:
        return Distribution(samples=0)
    greatest = max(part.max_ns for part in parts)
    return Distribution(
        samples=samples,
        min_ns=min(part.min_ns for part in parts),
        mean_ns=sum(part.sum_ns for part in parts) / samples,
        max_ns=greatest,
        buckets=buckets,
        **quantiles(buckets, greatest),
    )


def quantiles(buckets: Sequence[tuple[int, int]], greatest_ns: int) -> dict[str, int]:
    """Those that so many samples can tell, by their names in a Distribution, as `buckets` are its own."""
    samples = sum(count for _, count in buckets)
    return {
        name: _quantile(buckets, quantile * samples, greatest_ns)
        for name, quantile in _QUANTILES.items()
        if samples * (1 - quantile) >= _SAMPLES_ABOVE * (1 - 1e-9)
    }


def _quantile(buckets: Sequence[tuple[int, int]], wanted: float, greatest_ns: int) -> int:
    seen = 0
    for highest, count in buckets:
        seen += count
        if seen >= wanted:
            return min(highest, greatest_ns)
    return greatest_ns

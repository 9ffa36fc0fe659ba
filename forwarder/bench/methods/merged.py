# SPDX-License-Identifier: Apache-2.0
"""Distributions of several trials as one: exact to the width of a bucket, as each of them is. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from forwarder.results.model import Distribution
from forwarder.tester.histogram import quantiles


def merged(parts: Sequence[Distribution]) -> Distribution:
    """All their samples. Empty without any."""
    parts = [part for part in parts if part.samples]
    counts: Counter[int] = Counter()
    for part in parts:
        counts.update(dict(part.buckets))
    buckets = sorted(counts.items())
    samples = sum(part.samples for part in parts)
    if not samples:
        return Distribution(samples=0)
    greatest = max((part.max_ns for part in parts if part.max_ns is not None), default=None)
    means = [(part.samples, part.mean_ns) for part in parts if part.mean_ns is not None]
    return Distribution(
        samples=samples,
        min_ns=min((part.min_ns for part in parts if part.min_ns is not None), default=None),
        mean_ns=sum(count * mean for count, mean in means) / samples if len(means) == len(parts) else None,
        max_ns=greatest,
        buckets=tuple(buckets),
        **quantiles(buckets, greatest if greatest is not None else buckets[-1][0]),
    )

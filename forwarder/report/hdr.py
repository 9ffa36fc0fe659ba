# SPDX-License-Identifier: Apache-2.0
"""Latency as HdrHistogram has it: its compressed form (V2, base64), and its log of intervals.

A bucket's frames are recorded at its highest value, so that no percentile comes out too small. The package is
slow with single values, but takes any number of equal ones at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from forwarder.errors import TtfwdError
from forwarder.results.load import StoredResult
from forwarder.results.model import Distribution, Latency

_HIGHEST_NS = 3_600_000_000_000  # an hour
_DIGITS = 3


def encoded(times: Distribution, unit_ns: int = 1) -> str:
    """The compressed histogram of a distribution's buckets, in units of so many ns. Raises TtfwdError."""
    try:
        from hdrh.histogram import HdrHistogram
    except ImportError:
        raise TtfwdError("this format needs the package hdrhistogram: pip install 'ttfwd[bench]'") from None
    histogram = HdrHistogram(1, _HIGHEST_NS // unit_ns, _DIGITS)
    for highest_ns, samples in times.buckets:
        histogram.record_value(min(max(round(highest_ns / unit_ns), 1), _HIGHEST_NS // unit_ns), samples)
    return str(histogram.encode().decode("ascii"))


def hdr_log(stored: StoredResult) -> str:
    """An interval for each load, direction and kind of time, told apart by its tag. Raises TtfwdError."""
    result = stored.result
    if not result.latency:
        raise TtfwdError(f"{stored.path}: holds no latency to export: its test is {result.test}")
    start = datetime.fromisoformat(result.started)
    length_s = (datetime.fromisoformat(result.ended) - start).total_seconds()
    return "\n".join(
        [
            "#[Histogram log format version 1.3]",
            f"#[StartTime: {start.timestamp():.3f} (seconds since epoch), {result.started}]",
            '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"',
            *(line for one in result.latency for line in _intervals(one, length_s)),
            "",
        ]
    )


def _intervals(one: Latency, length_s: float) -> Iterator[str]:
    for kind, times in (("path", one.path), ("response", one.response), ("lateness", one.lateness)):
        tag = f"{one.load}-{one.direction}-{kind}"
        yield f"Tag={tag},0.000,{length_s:.3f},{(times.max_ns or 0) / 1e6:.6f},{encoded(times)}"

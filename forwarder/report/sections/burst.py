# SPDX-License-Identifier: Apache-2.0
"""The longest burst of which nothing is lost."""

from __future__ import annotations

from forwarder.report import figures
from forwarder.report.document import Cell, Paragraph, Section, Table
from forwarder.report.sections.cells import PAIRS
from forwarder.results.model import Result


def burst(result: Result) -> Section | None:
    found = result.burst
    if found is None:
        return None
    rows: tuple[tuple[Cell, ...], ...] = (
        ("load of the burst", figures.rate(found.load_per_s)),
        (
            "shortest, mean, longest",
            f"{found.min_frames:,}, {found.mean_frames:,.0f}, {found.max_frames:,} frames",
        ),
        (
            "standard deviation",
            figures.NONE if found.stdev_frames is None else f"{found.stdev_frames:,.1f} frames",
        ),
        ("buffer, implied", figures.seconds(found.buffer_s)),
        ("buffer, corrected by the throughput", figures.seconds(found.corrected_buffer_s)),
        ("each repetition, frames", ", ".join(f"{frames:,}" for frames in found.frames)),
    )
    table = Table(PAIRS, rows)
    text = "The longest burst of which nothing is lost (RFC 9004). The buffer is the time that it takes."
    return Section("Bursts", (Paragraph(text), table))

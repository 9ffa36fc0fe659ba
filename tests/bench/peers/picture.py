# SPDX-License-Identifier: Apache-2.0
"""The comparison as a picture: the cost of a small packet, TCP throughput, and PDR where it was measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tests.bench.peers.results import SIZES_BYTES, STREAMS, PeerResult
from tests.bench.rounds import Spread

_COLUMN_INCHES = 5.5
_ROW_INCHES = 0.34
_HEAD_INCHES = 1.0
_OURS, _OTHERS = "#1b6ca8", "#b0b7bf"


def draw(results: Sequence[PeerResult], path: Path) -> None:
    """Draw medians as bars, quartiles as lines. The suffix selects the format."""
    pdr = [result.pdr_per_s() for result in results]
    columns = 3 if any(pdr) else 2
    size = (_COLUMN_INCHES * columns, _HEAD_INCHES + _ROW_INCHES * len(results))
    figure = Figure(figsize=size, layout="constrained")
    cost, speed, *rate = figure.subplots(1, columns, sharey=True)
    smallest, fewest = SIZES_BYTES[0], STREAMS[0]
    _bars(
        cost,
        results,
        [result.at_saturation(smallest, lambda sample: sample.ns_per_packet) for result in results],
        f"CPU ns per delivered {smallest} B packet, saturated (less is better)",
    )
    _bars(
        speed,
        results,
        [result.with_streams(fewest, lambda sample: sample.gbit_per_s) for result in results],
        f"iperf3 TCP, {fewest} stream, Gbit/s (more is better)",
    )
    for axes in rate:
        kpps = [spread.scaled(1e-3) if spread else None for spread in pdr]
        _bars(axes, results, kpps, f"PDR, {smallest} B, kpps (more is better)", missing=" not measured")
    # Text stays text, and equal results give equal files.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": path.stem}):
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def _bars(
    axes: Axes,
    results: Sequence[PeerResult],
    spreads: Sequence[Spread | None],
    title: str,
    missing: str = " does not run here",
) -> None:
    for row, (result, spread) in enumerate(zip(results, spreads, strict=True)):
        if spread is None:
            axes.text(0, row, missing, va="center", color="grey")
            continue
        axes.barh(row, spread.median, color=_OURS if result.key.startswith("ttfwd") else _OTHERS)
        axes.hlines(row, spread.quartile_1, spread.quartile_3, color="black", linewidth=1)
        digits = 0 if spread.median >= 100 else 1
        axes.text(max(spread.median, spread.quartile_3), row, f" {spread.median:.{digits}f}", va="center")
    axes.set_title(title, fontsize="medium")
    axes.set_yticks(range(len(results)), [result.title for result in results])
    axes.set_ylim(len(results) - 0.5, -0.5)  # in the order of the tables, from the top
    axes.margins(x=0.15)
    axes.spines[["top", "right"]].set_visible(False)

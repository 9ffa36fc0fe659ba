# SPDX-License-Identifier: Apache-2.0
"""The comparison as a picture: the cost of a small packet, and TCP throughput."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tests.bench.peers.results import SIZES_BYTES, STREAMS, PeerResult
from tests.bench.rounds import Spread

_WIDTH_INCHES = 11.0
_ROW_INCHES = 0.34
_HEAD_INCHES = 1.0
_OURS, _OTHERS = "#1b6ca8", "#b0b7bf"


def draw(results: Sequence[PeerResult], path: Path) -> None:
    """Draw medians as bars, quartiles as lines. The suffix selects the format."""
    figure = Figure(figsize=(_WIDTH_INCHES, _HEAD_INCHES + _ROW_INCHES * len(results)), layout="constrained")
    cost, speed = figure.subplots(1, 2, sharey=True)
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
    # Text stays text, and equal results give equal files.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": path.stem}):
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def _bars(axes: Axes, results: Sequence[PeerResult], spreads: Sequence[Spread | None], title: str) -> None:
    for row, (result, spread) in enumerate(zip(results, spreads, strict=True)):
        if spread is None:
            axes.text(0, row, " does not run here", va="center", color="grey")
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

# SPDX-License-Identifier: Apache-2.0
"""The results, as tables and as one JSON object with units in its keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

from rich.console import Console
from rich.table import Table

from tests.bench import tcp
from tests.bench.kmod.plan import (
    BASELINE,
    PARTS,
    REFERENCE,
    SEGMENTS,
    TCP_BAR,
    TCP_BASELINE,
    TCP_SUBJECT,
    TCP_WAYS,
    WAYS,
    Bar,
    Cell,
    bars,
)
from tests.bench.kmod.results import Measured, Profile
from tests.bench.report import JsonObject, table
from tests.bench.rounds import Spread

SCHEMA_VERSION = 1
_FUNCTIONS = 25  # lines shown of a profile
_GB = 10**9


@dataclass
class KernelReport:
    """The measurements on one kernel. Parts that weren't requested are empty.

    `streams`: ttfwd's TCP streams. The key says whether copies were by words.
    """

    kernel: str
    rounds: int
    counted: dict[Cell, Measured] = field(default_factory=dict)
    by_words: dict[Cell, Measured] = field(default_factory=dict)
    timed: dict[Cell, Measured] = field(default_factory=dict)
    streams: dict[bool, Sequence[tcp.Stream]] = field(default_factory=dict)
    profiles: Sequence[Profile] = ()


def _per_gb(cell: Cell, found: Measured, way: str) -> float:
    return found.ns_per_packet(way).median * _GB / cell.size_bytes


def _cells_json(measured: Mapping[Cell, Measured], unit: str) -> list[JsonObject]:
    return [
        {
            **asdict(cell),
            "ways": [
                {
                    "way": way,
                    f"{unit}_per_packet": asdict(found.ns_per_packet(way)),
                    f"{unit}_per_gb": _per_gb(cell, found, way),
                    "ratio": asdict(found.ratio(way)),
                    "system_calls_per_packet": found.system_calls_per_packet(way),
                    "samples": [
                        {
                            "round": one.round,
                            "packets": one.packets,
                            unit: one.ns,
                            "system_calls": one.system_calls,
                        }
                        for one in found.samples[way]
                    ],
                }
                for way in found.samples
            ],
        }
        for cell, found in measured.items()
    ]


def _counted_json(measured: Mapping[Cell, Measured]) -> JsonObject:
    return {
        "cells": _cells_json(measured, "instructions"),
        "bars": [{**asdict(bar), "met": measured[bar.cell].meets(bar)} for bar in _bars(measured)],
    }


def as_json(reports: Sequence[KernelReport]) -> JsonObject:
    return {
        "schema_version": SCHEMA_VERSION,
        "baseline": BASELINE,
        "kernels": [
            {
                "kernel": report.kernel,
                "rounds": report.rounds,
                "counted": _counted_json(report.counted),
                "counted_by_words": _counted_json(report.by_words),
                "tcp": [
                    {"by_words": by_words, "streams": [asdict(stream) for stream in streams]}
                    for by_words, streams in report.streams.items()
                ],
                "timed": _cells_json(report.timed, "wall_ns"),
                "profiles": [asdict(profile) for profile in report.profiles],
            }
            for report in reports
        ],
    }


# ---------------------------------------------------------------------------------------------- tables


def show(report: KernelReport, console: Console) -> None:
    console.print(
        f"Linux {report.kernel}, tap to tap. Medians of {report.rounds} alternating rounds; in brackets "
        f"times {WAYS[BASELINE]}.\n",
        highlight=False,
    )
    if report.counted:
        console.print(_table("instructions for each packet", report.counted, spread=False))
        console.print(_per_gb_table("millions of instructions for each GB", report.counted))
        console.print(_bars_table("bars", report.counted))
    if report.by_words:
        title = "instructions for each packet, copies by words: 8 bytes an instruction"
        console.print(_table(title, report.by_words, spread=False))
        console.print(_per_gb_table("millions of instructions for each GB, copies by words", report.by_words))
        console.print(_bars_table("bars, copies by words", report.by_words))
    for by_words, streams in report.streams.items():
        console.print(_tcp_table(streams, ", copies by words" if by_words else ""))
    if report.timed:
        console.print(_table("wall clock on 2 emulated CPUs, ns for each packet", report.timed, spread=True))
    for cell in (REFERENCE, SEGMENTS):
        for part in PARTS:
            profiles = [one for one in report.profiles if (one.cell, one.part) == (cell, part)]
            if profiles:
                console.print(_profile_table(cell, part, profiles))


def _value(found: Measured, way: str, spread: bool) -> str:
    value = f"{found.ns_per_packet(way).median:.0f}"
    if way == BASELINE:
        return value
    ratio = found.ratio(way)
    return f"{value} ({_ratio(ratio) if spread else f'{ratio.median:.3f}'})"


def _ratio(ratio: Spread) -> str:
    return f"{ratio.median:.2f}, {ratio.quartile_1:.2f} to {ratio.quartile_3:.2f}"


def _table(title: str, measured: Mapping[Cell, Measured], *, spread: bool) -> Table:
    calls_column = () if spread else ("system calls",)
    shown = table(title, ("load",), ("batch", *WAYS.values(), *calls_column))
    if not spread:
        shown.caption = f"system calls for each packet: {', '.join(WAYS.values())}"
    last = ""
    for cell, found in measured.items():
        if last not in ("", cell.name):
            shown.add_section()
        calls = " ".join(f"{found.system_calls_per_packet(way):.3g}" for way in WAYS)
        shown.add_row(
            cell.name if cell.name != last else "",
            str(cell.batch_packets),
            *(_value(found, way, spread) for way in WAYS),
            *(() if spread else (calls,)),
        )
        last = cell.name
    return shown


def _per_gb_table(title: str, measured: Mapping[Cell, Measured]) -> Table:
    """The costs per GB."""
    shown = table(f"{title} (10^9 bytes)", ("load",), ("batch", *WAYS.values()))
    for cell, found in measured.items():
        if cell.segments:
            values = (f"{_per_gb(cell, found, way) / 1e6:.0f}" for way in WAYS)
            shown.add_row(cell.name, str(cell.batch_packets), *values)
    return shown


def _tcp_table(streams: Sequence[tcp.Stream], how: str) -> Table:
    """ttfwd itself, with and without the module."""
    title = f"TCP through ttfwd with offload, millions of instructions for each GB{how}"
    shown = table(title, ("driver",), ("ttfwd", "at most", "", "ttfwd and iperf3", "bytes/frame"))
    own, everybody = (
        _tcp_figures(streams, figure)
        for figure in (lambda one: one.forwarder_s_per_gb, lambda one: one.all_s_per_gb)
    )
    ratio = tcp.ratio(streams, TCP_SUBJECT, TCP_BASELINE, lambda one: one.forwarder_s_per_gb).median
    verdict = f"{TCP_BAR:.2f}", "met" if ratio <= TCP_BAR else "MISSED"
    for driver in TCP_WAYS:
        frame_bytes = tcp.spread(streams, driver, lambda one: one.bytes_per_frame).median
        bar = verdict if driver == TCP_SUBJECT else ("", "")
        shown.add_row(driver, own[driver], *bar, everybody[driver], f"{frame_bytes:.0f}")
    return shown


def _tcp_figures(streams: Sequence[tcp.Stream], figure: Callable[[tcp.Stream], float]) -> dict[str, str]:
    """Figures by driver, with ratios to the baseline's. `figure`: s/GB at a nanosecond per instruction."""
    millions = {driver: f"{tcp.spread(streams, driver, figure).median * 1e3:.0f}" for driver in TCP_WAYS}
    for driver in TCP_WAYS[1:]:
        millions[driver] += f" ({tcp.ratio(streams, driver, TCP_BASELINE, figure).median:.3f})"
    return millions


def _bars(measured: Mapping[Cell, Measured]) -> list[Bar]:
    return [bar for bar in bars() if bar.cell in measured]


def _bars_table(title: str, measured: Mapping[Cell, Measured]) -> Table:
    numbers = ("batch", f"times {WAYS[BASELINE]}", "at most", "system calls", "at most", "")
    shown = table(title, ("load", "way"), numbers)
    for bar in _bars(measured):
        found = measured[bar.cell]
        shown.add_row(
            bar.cell.name,
            WAYS[bar.way],
            str(bar.cell.batch_packets),
            f"{found.ratio(bar.way).median:.3f}",
            f"{bar.ratio:.2f}",
            f"{found.system_calls_per_packet(bar.way):.4f}",
            f"{bar.system_calls_per_packet:.4f}",
            "met" if found.meets(bar) else "MISSED",
        )
    return shown


def _profile_table(cell: Cell, part: str, profiles: Sequence[Profile]) -> Table:
    counted = ", copies by words" if cell.segments else ""
    shown = table(
        f"{part}: instructions for each packet ({cell.name}, batch {cell.batch_packets}{counted})",
        ("function",),
        [WAYS[profile.way] for profile in profiles],
    )
    shown.add_row(
        "all", *(f"{profile.instructions_per_packet:.0f}" for profile in profiles), end_section=True
    )
    most = {
        name: max(profile.shares.get(name, 0) * profile.instructions_per_packet for profile in profiles)
        for profile in profiles
        for name in profile.shares
    }
    for name in sorted(most, key=lambda name: -most[name])[:_FUNCTIONS]:
        values = [profile.shares.get(name, 0) * profile.instructions_per_packet for profile in profiles]
        shown.add_row(name, *(f"{value:.0f}" if value >= 0.5 else "" for value in values))
    return shown

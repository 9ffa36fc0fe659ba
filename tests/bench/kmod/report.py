# SPDX-License-Identifier: Apache-2.0
"""The results, as tables and as one JSON object with units in its keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field

from rich.console import Console
from rich.table import Table

from tests.bench import tcp
from tests.bench.kmod.plan import (
    PARTS,
    REFERENCE,
    SCOPES,
    SEGMENTS,
    TCP_BAR,
    TCP_BASELINE,
    TCP_BRIDGE,
    TCP_BRIDGE_BARS,
    TCP_SUBJECT,
    TCP_WAYS,
    WAYS,
    WAYS_OF,
    Bar,
    Cell,
    bars,
)
from tests.bench.kmod.results import Measured, Profile
from tests.bench.report import JsonObject, table
from tests.bench.rounds import Spread

SCHEMA_VERSION = 2
_FUNCTIONS = 25  # lines shown of a profile
_GB = 10**9


@dataclass
class KernelReport:
    """The measurements on one kernel. Parts that weren't requested are empty.

    `streams`: TCP through ttfwd and a bridge. The key says whether copies were by words.
    """

    kernel: str
    rounds: int
    counted: dict[Cell, Measured] = field(default_factory=dict)
    by_words: dict[Cell, Measured] = field(default_factory=dict)
    timed: dict[Cell, Measured] = field(default_factory=dict)
    streams: dict[bool, Sequence[tcp.Stream]] = field(default_factory=dict)
    profiles: Sequence[Profile] = ()

    @property
    def series(self) -> str:
        return ".".join(self.kernel.split(".")[:2])


def _per_gb(cell: Cell, found: Measured, way: str) -> float:
    return found.ns_per_packet(way).median * _GB / cell.size_bytes


def _cells_json(measured: Mapping[Cell, Measured], unit: str) -> list[JsonObject]:
    return [
        {
            **asdict(cell),
            "baseline": cell.baseline,
            "ways": [
                {
                    "way": way,
                    f"{unit}_per_packet": asdict(found.ns_per_packet(way)),
                    f"{unit}_per_gb": _per_gb(cell, found, way),
                    "ratio": asdict(found.ratio(way, cell.baseline)),
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
        f"Linux {report.kernel}. Medians of {report.rounds} alternating rounds; "
        "in brackets times the first way.\n",
        highlight=False,
    )
    for how, measured in (("", report.counted), (", copies by words", report.by_words)):
        for scope, cells in _by_scope(measured):
            title = f"{SCOPES[scope]}, instructions for each packet{how}"
            console.print(_table(title, scope, cells, spread=False))
        if measured:
            console.print(_per_gb_table(f"millions of instructions for each GB{how}", measured))
            console.print(_bars_table(f"bars{how}", measured))
    for by_words in report.streams:
        console.print(_tcp_table(report, by_words))
        console.print(_machine_table(report, by_words))
    for scope, cells in _by_scope(report.timed):
        title = f"{SCOPES[scope]}, wall clock on 2 emulated CPUs, ns for each packet (noisy)"
        console.print(_table(title, scope, cells, spread=True))
    for cell in (REFERENCE, SEGMENTS):
        for part in PARTS:
            profiles = [one for one in report.profiles if (one.cell, one.part) == (cell, part)]
            if profiles:
                console.print(_profile_table(cell, part, profiles))


def _by_scope(measured: Mapping[Cell, Measured]) -> Iterator[tuple[str, Mapping[Cell, Measured]]]:
    for scope in SCOPES:
        cells = {cell: found for cell, found in measured.items() if cell.scope == scope}
        if cells:
            yield scope, cells


def _value(cell: Cell, found: Measured, way: str, spread: bool) -> str:
    value = f"{found.ns_per_packet(way).median:.0f}"
    if way == cell.baseline:
        return value
    ratio = found.ratio(way, cell.baseline)
    return f"{value} ({_ratio(ratio) if spread else f'{ratio.median:.3f}'})"


def _ratio(ratio: Spread) -> str:
    return f"{ratio.median:.2f}, {ratio.quartile_1:.2f} to {ratio.quartile_3:.2f}"


def _table(title: str, scope: str, measured: Mapping[Cell, Measured], *, spread: bool) -> Table:
    ways = WAYS_OF[scope]
    calls_column = () if spread else ("system calls",)
    shown = table(title, ("load",), ("batch", *ways.values(), *calls_column))
    if not spread:
        shown.caption = f"system calls for each packet: {', '.join(ways.values())}"
    last = ""
    for cell, found in measured.items():
        if last not in ("", cell.name):
            shown.add_section()
        calls = " ".join(f"{found.system_calls_per_packet(way):.3g}" for way in ways)
        shown.add_row(
            cell.name if cell.name != last else "",
            str(cell.batch_packets),
            *(_value(cell, found, way, spread) for way in ways),
            *(() if spread else (calls,)),
        )
        last = cell.name
    return shown


def _per_gb_table(title: str, measured: Mapping[Cell, Measured]) -> Table:
    """The costs per GB."""
    shown = table(f"{title} (10^9 bytes)", ("load",), ("batch", *WAYS.values()))
    for cell, found in measured.items():
        if cell == SEGMENTS:
            values = (f"{_per_gb(cell, found, way) / 1e6:.0f}" for way in WAYS)
            shown.add_row(cell.name, str(cell.batch_packets), *values)
    return shown


def _tcp_table(report: KernelReport, by_words: bool) -> Table:
    """ttfwd itself, with and without the module."""
    streams = report.streams[by_words]
    title = f"TCP through ttfwd with offload, millions of instructions for each GB{_copies(by_words)}"
    shown = table(title, ("driver",), ("ttfwd", "at most", "", "ttfwd and iperf3", "bytes/frame"))
    own, everybody = (
        _tcp_figures(streams, TCP_WAYS, figure)
        for figure in (lambda one: one.forwarder_s_per_gb, lambda one: one.all_s_per_gb)
    )
    ratio = tcp.ratio(streams, TCP_SUBJECT, TCP_BASELINE, lambda one: one.forwarder_s_per_gb).median
    for driver in TCP_WAYS:
        frame_bytes = tcp.spread(streams, driver, lambda one: one.bytes_per_frame).median
        bar = _verdict(ratio, TCP_BAR) if driver == TCP_SUBJECT else ("", "")
        shown.add_row(driver, own[driver], *bar, everybody[driver], f"{frame_bytes:.0f}")
    return shown


def _machine_table(report: KernelReport, by_words: bool) -> Table:
    """ttfwd itself beside a bridge."""
    streams, ways = report.streams[by_words], (TCP_BRIDGE, *TCP_WAYS)
    title = f"TCP, all instructions on the machine, millions for each GB{_copies(by_words)}"
    shown = table(title, ("through",), ("instructions", "at most", "", "a lone packet's round trip, µs"))
    shown.caption = "a µs is a thousand instructions"
    figures = _tcp_figures(streams, ways, lambda one: one.machine_s_per_gb)
    ratio = tcp.ratio(streams, TCP_SUBJECT, TCP_BRIDGE, lambda one: one.machine_s_per_gb).median
    for way in ways:
        barred = by_words and way == TCP_SUBJECT
        bar = _verdict(ratio, TCP_BRIDGE_BARS[report.series]) if barred else ("", "")
        round_trip_us = tcp.spread(streams, way, lambda one: one.round_trip_us or 0.0).median
        shown.add_row(way, figures[way], *bar, f"{round_trip_us:.0f}")
    return shown


def _copies(by_words: bool) -> str:
    return ", copies by words" if by_words else ""


def _verdict(ratio: float, bar: float) -> tuple[str, str]:
    return f"{bar:.2f}", "met" if ratio <= bar else "MISSED"


def _tcp_figures(
    streams: Sequence[tcp.Stream], ways: Sequence[str], figure: Callable[[tcp.Stream], float]
) -> dict[str, str]:
    """Figures with ratios to the first way's. `figure`: s/GB at a nanosecond per instruction."""
    millions = {way: f"{tcp.spread(streams, way, figure).median * 1e3:.0f}" for way in ways}
    for way in ways[1:]:
        millions[way] += f" ({tcp.ratio(streams, way, ways[0], figure).median:.3f})"
    return millions


def _bars(measured: Mapping[Cell, Measured]) -> list[Bar]:
    return [bar for bar in bars() if bar.cell in measured]


def _bars_table(title: str, measured: Mapping[Cell, Measured]) -> Table:
    numbers = ("batch", "times", "at most", "system calls", "at most", "")
    shown = table(title, ("what", "load", "way", "against"), numbers)
    for bar in _bars(measured):
        found = measured[bar.cell]
        shown.add_row(
            SCOPES[bar.cell.scope],
            bar.cell.name,
            bar.cell.ways[bar.way],
            bar.cell.ways[bar.against],
            str(bar.cell.batch_packets),
            f"{found.ratio(bar.way, bar.against).median:.3f}",
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

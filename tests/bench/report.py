# SPDX-License-Identifier: Apache-2.0
"""The results, as tables and as one JSON object with units in its keys."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.bench import tcp
from tests.bench.load import Load, Paced
from tests.bench.ring import RingResult
from tests.bench.rounds import Plan, Result, Spread
from tests.bench.start import QUEUES, StartResult

SCHEMA_VERSION = 1

JsonObject = dict[str, object]


@dataclass
class Report:
    """The measurements so far. None: not requested."""

    plan: Plan
    results: list[Result] = field(default_factory=list)
    ring: Sequence[RingResult] | None = None
    start: StartResult | None = None
    streams: Sequence[tcp.Stream] | None = None


def machine() -> JsonObject:
    models = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return {
        "kernel": platform.release(),
        "cpu_model": models[0] if models else platform.machine(),
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
    }


def as_json(report: Report) -> JsonObject:
    return {
        "schema_version": SCHEMA_VERSION,
        "machine": machine(),
        "plan": {**asdict(report.plan), "rounds": report.plan.rounds},
        "cases": [_case_json(result) for result in report.results],
        "ring_hop": report.ring and [asdict(one) for one in report.ring],
        "tcp": report.streams and [asdict(stream) for stream in report.streams],
        "start": report.start and {"queues": QUEUES, **asdict(report.start)},
    }


def _case_json(result: Result) -> JsonObject:
    case = result.case
    return {
        "case": case.key,
        "title": case.title,
        "baseline": case.variants[0].name,
        "bar": asdict(case.bar),
        "loads": [
            {
                "load": load.name,
                "size_bytes": load.size_bytes,
                "rate_packets_per_s": load.rate_packets_per_s if isinstance(load, Paced) else None,
                "bar_met": result.meets_bar(load),
                "variants": [
                    {
                        "variant": variant.name,
                        "cpu_ns_per_packet": asdict(result.ns_per_packet(load, variant.name)),
                        "delivered_packets_per_s": asdict(result.packets_per_s(load, variant.name)),
                        "ratio": asdict(result.ratio(load, variant.name)),
                        "samples": [asdict(sample) for sample in result.samples[load][variant.name]],
                    }
                    for variant in case.variants
                ],
            }
            for load in case.loads
        ],
    }


# ---------------------------------------------------------------------------------------------- tables


def show(report: Report, console: Console) -> None:
    console.print(
        f"Medians of {report.plan.rounds} alternating rounds (quartiles). CPU time is of all processes that "
        "work for a forwarder, and is divided by the packets that the sink's device received.\n",
        highlight=False,
    )
    for result in report.results:
        console.print(_case_table(result))
    if report.ring is not None:
        console.print(_ring_table(report.ring))
    if report.streams is not None:
        console.print(_tcp_table(report.streams))
    if report.start is not None:
        console.print(_start_table(report.start))


def spread_text(spread: Spread, digits: int) -> str:
    return f"{spread.median:.{digits}f} ({spread.quartile_1:.{digits}f} to {spread.quartile_3:.{digits}f})"


def table(title: str, texts: Sequence[str], numbers: Sequence[str]) -> Table:
    shown = Table(title=title, title_justify="left")
    for column in texts:
        shown.add_column(column, overflow="fold")
    for column in numbers:
        shown.add_column(column, justify="right", no_wrap=True)
    return shown


def _case_table(result: Result) -> Table:
    case = result.case
    baseline = case.variants[0]
    numbers = ("CPU ns/packet", "kpps", f"times {baseline.name}", "bar")
    shown = table(case.title, ("load", "forwarder"), numbers)
    for load in case.loads:
        for variant in case.variants:
            shown.add_row(
                load.name if variant is baseline else "",
                variant.name,
                spread_text(result.ns_per_packet(load, variant.name), 0),
                f"{result.packets_per_s(load, variant.name).median / 1000:.0f}",
                spread_text(result.ratio(load, variant.name), 3) if variant is not baseline else "",
                _bar(result, load) if variant.name == case.bar.subject else "",
            )
        shown.add_section()
    return shown


def _bar(result: Result, load: Load) -> str:
    return f"{result.case.bar.ratio:.2f} {'met' if result.meets_bar(load) else 'MISSED'}"


def _ring_table(ring: Sequence[RingResult]) -> Table:
    shown = table(
        "ring hop between two processes on two CPUs",
        ("burst",),
        ("streaming, ns/descriptor", "one way, ns/burst"),
    )
    for one in ring:
        streaming, one_way = one.streaming_ns_per_descriptor, one.one_way_ns
        shown.add_row(str(one.burst_packets), spread_text(streaming, 1), spread_text(one_way, 0))
    return shown


def _tcp_table(streams: Sequence[tcp.Stream]) -> Table:
    baseline = tcp.NO_OFFLOAD.name
    numbers = ("Gbit/s", f"times {baseline}", "CPU s/GB", "with iperf3's", "bytes/frame")
    shown = table("one TCP stream through driver tap, 1 queue", ("ports",), numbers)
    for name in (tcp.OFFLOAD.name, baseline):
        shown.add_row(
            name,
            spread_text(tcp.spread(streams, name, lambda one: one.gbit_per_s), 2),
            spread_text(tcp.ratio(streams, name, baseline, lambda one: one.gbit_per_s), 1),
            spread_text(tcp.spread(streams, name, lambda one: one.forwarder_s_per_gb), 3),
            spread_text(tcp.spread(streams, name, lambda one: one.all_s_per_gb), 3),
            spread_text(tcp.spread(streams, name, lambda one: one.bytes_per_frame), 0),
        )
    return shown


def _start_table(start: StartResult) -> Table:
    shown = table(f"start with {QUEUES} queues, and memory", ("what",), ("value",))
    shown.add_row("exec to first packet delivered, ms", spread_text(start.first_packet_ms, 0))
    shown.add_row("exec to every worker ready, ms", spread_text(start.workers_ready_ms, 0))
    shown.add_row("worker, USS, MiB", spread_text(start.worker_uss_mib, 1))
    shown.add_row("worker, PSS, MiB", spread_text(start.worker_pss_mib, 1))
    shown.add_row("supervisor, USS, MiB", spread_text(start.supervisor_uss_mib, 1))
    return shown

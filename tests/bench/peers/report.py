# SPDX-License-Identifier: Apache-2.0
"""The results, as tables and as one JSON object with units in its keys."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from forwarder.results.model import Latency
from tests.bench.peers import bars
from tests.bench.peers.instrument import LOADS_PERCENT
from tests.bench.peers.measure import PACED_PACKETS_PER_S, Plan
from tests.bench.peers.results import (
    GENERATOR_LIMITED_LOSS,
    SIZES_BYTES,
    STREAMS,
    PeerResult,
    RateSample,
    TcpSample,
)
from tests.bench.report import JsonObject, machine, spread_text, table
from tests.bench.rounds import Spread

SCHEMA_VERSION = 1
_NONE = "-"

_RATE_FIGURES: dict[str, Callable[[RateSample], float]] = {
    "cpu_ns_per_packet": lambda sample: sample.ns_per_packet,
    "delivered_packets_per_s": lambda sample: sample.packets_per_s,
    "loss": lambda sample: sample.loss,
    "cpu_cores": lambda sample: sample.cpu_cores,
}
_TCP_FIGURES: dict[str, Callable[[TcpSample], float]] = {
    "gbit_per_s": lambda sample: sample.gbit_per_s,
    "forwarder_cpu_s_per_gb": lambda sample: sample.forwarder_cpu_s_per_gb,
    "all_cpu_s_per_gb": lambda sample: sample.all_cpu_s_per_gb,
}
_LATENCY_FIGURES: dict[str, Callable[[Latency], int | None]] = {
    "path_p50_ns": lambda row: row.path.p50_ns,
    "path_p99_ns": lambda row: row.path.p99_ns,
    "response_p50_ns": lambda row: row.response.p50_ns,
    "response_p99_ns": lambda row: row.response.p99_ns,
    "lateness_p99_ns": lambda row: row.lateness.p99_ns,
    "lost": lambda row: row.lost,
}


@dataclass(frozen=True)
class PeersReport:
    plan: Plan
    results: Sequence[PeerResult]


def as_json(report: PeersReport) -> JsonObject:
    """Every spread is over the rounds: median, quartiles, minimum and maximum. Null: not measured."""
    return {
        "schema_version": SCHEMA_VERSION,
        "machine": machine(),
        "plan": asdict(report.plan),
        "peers": [_peer_json(result) for result in report.results],
        "bars": [_bar_json(outcome) for outcome in bars.outcomes(report.results)],
    }


def _peer_json(result: PeerResult) -> JsonObject:
    return {
        "peer": result.key,
        "title": result.title,
        "ports": result.ports,
        "polls": result.polls,
        "bills_senders": result.bills_senders,
        "error": result.error,
        "saturated": [
            {
                "size_bytes": size,
                "generator_limited": result.generator_limited(size),
                **{name: _json(result.at_saturation(size, of)) for name, of in _RATE_FIGURES.items()},
            }
            for size in SIZES_BYTES
        ],
        "packets_per_system_call": _json(result.syscalls()),
        "paced": {
            "rate_packets_per_s": PACED_PACKETS_PER_S,
            **{name: _json(result.at_pace(of)) for name, of in _RATE_FIGURES.items()},
        },
        "tcp": [
            {
                "streams": streams,
                **{name: _json(result.with_streams(streams, of)) for name, of in _TCP_FIGURES.items()},
            }
            for streams in STREAMS
        ],
        "instrument": _instrument_json(result),
    }


def _instrument_json(result: PeerResult) -> JsonObject:
    return {
        "pdr_per_s": _json(result.pdr_per_s()),
        "publishable": result.publishable,
        "why_not": list(result.why_not()),
        "searches": [run.model_dump() for run in result.runs()],
        "latency": [
            {
                "pdr_percent": percent,
                **{name: _json(result.latency(percent, of)) for name, of in _LATENCY_FIGURES.items()},
            }
            for percent in LOADS_PERCENT
        ],
        "trials_counted": sum(found.trials_counted for found in result.measured),
        "trials_void": sum(found.trials_void for found in result.measured),
    }


def _bar_json(outcome: bars.Outcome) -> JsonObject:
    return {
        "subject": outcome.subject,
        "rival": outcome.rival,
        "what": outcome.bar.what,
        "limit": outcome.bar.limit,
        "more_is_better": outcome.bar.more_is_better,
        "ratio": _json(outcome.ratio),
        "met": outcome.met,
    }


def _json(spread: Spread | None) -> JsonObject | None:
    """Round to five digits, more than any measurement here has."""
    return {name: float(f"{value:.5g}") for name, value in asdict(spread).items()} if spread else None


# ---------------------------------------------------------------------------------------------- tables


def show(report: PeersReport, console: Console, *, markdown: bool = False) -> None:
    """As tables for a terminal, or as docs/benchmarks.md has them."""
    measured = [result for result in report.results if result.saturated]
    by_instrument = [result for result in report.results if result.measured or result.unmeasured]
    tables = [
        _cost_table(measured),
        _rate_table(measured),
        _instrument_table(by_instrument, report.plan.goal),
        _against_table(by_instrument),
        *(_tcp_table(measured, streams) for streams in STREAMS),
        _bar_table(list(bars.outcomes(report.results))),
        _error_table([result for result in report.results if result.error is not None]),
    ]
    texts = [
        f"Medians of {report.plan.rounds} alternating rounds (quartiles). CPU time is of all threads of a "
        "forwarder and of kernel threads that work for it. Delivered is what the sink's device received.",
        *(_as_markdown(one) if markdown else one for one in tables if one.row_count),
        f"* generator-limited: lost less than {GENERATOR_LIMITED_LOSS:.0%} of what was offered, and would "
        "have taken more; of one that polls, the CPU time per packet is an upper bound then.",
    ]
    for text in texts:
        console.print(text, "", sep="\n", highlight=False, soft_wrap=markdown)


def _as_markdown(one: Table) -> str:
    rows = [
        [column.header for column in one.columns],
        *zip(*(column.cells for column in one.columns), strict=True),
    ]
    lines = [f"| {' | '.join(' '.join(str(cell).split()) for cell in row)} |" for row in rows]
    return "\n".join([f"{one.title}:", "", lines[0], "|---" * len(one.columns) + "|", *lines[1:]])


def _sized(unit: str) -> list[str]:
    return [f"{size} B, {unit}" for size in SIZES_BYTES]


def _cost_table(results: Sequence[PeerResult]) -> Table:
    found = table(
        "CPU time per delivered packet, saturated",
        ("forwarder", "ports"),
        [*_sized("ns"), "packets/syscall", f"cores at kpps, of {PACED_PACKETS_PER_S // 1000}"],
    )
    for result in results:
        costs = [
            _text(result.at_saturation(size, _RATE_FIGURES["cpu_ns_per_packet"]), 0)
            + "*" * result.generator_limited(size)
            for size in SIZES_BYTES
        ]
        found.add_row(result.title, result.ports, *costs, _median(result.syscalls()), _at_pace(result))
    return found


def _at_pace(result: PeerResult) -> str:
    """CPU time with the delivered rate: a peer that loses packets, or slows the generator, has less work."""
    cores = result.at_pace(_RATE_FIGURES["cpu_cores"])
    rate = result.at_pace(_RATE_FIGURES["delivered_packets_per_s"])
    if cores is None or rate is None:
        return _NONE
    return f"{cores.median:.2f} at {rate.median / 1000:.0f}{', polls' if result.polls else ''}"


def _rate_table(results: Sequence[PeerResult]) -> Table:
    found = table("Delivered at saturation, and loss", ("forwarder",), _sized("kpps"))
    for result in results:
        found.add_row(result.title, *(_rate(result, size) for size in SIZES_BYTES))
    return found


def _rate(result: PeerResult, size_bytes: int) -> str:
    rate = result.at_saturation(size_bytes, lambda sample: sample.packets_per_s / 1000)
    loss = result.at_saturation(size_bytes, lambda sample: sample.loss)
    if rate is None or loss is None:
        return _NONE
    return f"{spread_text(rate, 0)}, {loss.median:.0%} lost" + "*" * result.generator_limited(size_bytes)


def _instrument_table(results: Sequence[PeerResult], goal: str) -> Table:
    size = SIZES_BYTES[0]
    found = table(
        f"By ttfwd bench, {size} B, goal {goal}: PDR, and latency at parts of it (path, us)",
        ("forwarder", "verdict", "publishable"),
        ["PDR, kpps", *(f"{percent} %, {which}" for percent in LOADS_PERCENT for which in ("p50", "p99"))],
    )
    for result in results:
        pdr = result.pdr_per_s()
        times = [
            _us(result.latency(percent, _LATENCY_FIGURES[name]))
            for percent in LOADS_PERCENT
            for name in ("path_p50_ns", "path_p99_ns")
        ]
        rate = spread_text(pdr.scaled(1e-3), 0) if pdr else _NONE
        fit = "yes" if result.publishable else "no"
        found.add_row(result.title, _verdicts(result), fit, rate, *times)
    return found


def _us(spread: Spread | None) -> str:
    return f"{spread.median / 1000:.1f}" if spread else _NONE


def _verdicts(result: PeerResult) -> str:
    """Of the searches; with how many have it, if they differ."""
    verdicts = Counter(run.verdict + ("" if run.regular else ", irregular") for run in result.runs())
    if len(verdicts) == 1:
        return next(iter(verdicts))
    return "; ".join(f"{count} {verdict}" for verdict, count in verdicts.most_common()) or _NONE


def _against_table(results: Sequence[PeerResult]) -> Table:
    """First what stands against all of them."""
    found = table("What stands against publishing these figures", ("forwarder", "why"), ())
    reasons = [result.why_not() for result in results]
    common = [each for each in reasons[0] if all(each in others for others in reasons)] if reasons else []
    rows = [("all", common)] if len(results) > 1 else []
    left = common if rows else []
    rows += [
        (result.title, [each for each in against if each not in left])
        for result, against in zip(results, reasons, strict=True)
    ]
    for title, against in rows:
        if against:
            found.add_row(title, escape("; ".join(against)))
    return found


def _tcp_table(results: Sequence[PeerResult], streams: int) -> Table:
    found = table(
        f"iperf3, TCP, {streams} stream{'s' * (streams > 1)}",
        ("forwarder",),
        ("Gbit/s", "CPU s/GB, forwarder", "CPU s/GB, with iperf3's"),
    )
    for result in results:
        speed, own, of_all = (_text(result.with_streams(streams, of), 2) for of in _TCP_FIGURES.values())
        found.add_row(result.title, speed, _NONE if result.bills_senders else own, of_all)
    return found


def _bar_table(outcomes: Sequence[bars.Outcome]) -> Table:
    found = table("Beside the best rival of its kind", ("what", "ttfwd", "rival"), ("ratio", "bar"))
    for outcome in outcomes:
        bar = outcome.bar
        limit = f"{'>=' if bar.more_is_better else '<='} {bar.limit:.2f} {'met' if outcome.met else 'MISSED'}"
        found.add_row(bar.what, outcome.subject, outcome.rival, spread_text(outcome.ratio, 2), limit)
    return found


def _error_table(results: Sequence[PeerResult]) -> Table:
    found = table("Did not run, or not to the end", ("forwarder", "error"), ())
    for result in results:
        found.add_row(result.title, escape(result.error or ""))
    return found


def _median(spread: Spread | None) -> str:
    return f"{spread.median:.2f}" if spread else _NONE


def _text(spread: Spread | None, digits: int) -> str:
    return spread_text(spread, digits) if spread else _NONE

# SPDX-License-Identifier: Apache-2.0
"""A result in the form of FD.io CSIT's test results (UTI 1.5.1, "info"), for tools that read those.

Rates are aggregate there: both directions together. As in CSIT, the lower bound is the conditional
throughput, and bandwidth is that on the wire, with preamble, gap and FCS. What the schema has no place for is
left out; a result that it has no form for is of type "unknown". CSIT's latency is in whole us.

To the tester of a lab, what is between its devices is external. The cell of its matrix says what it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from statistics import fmean
from typing import Any, Literal

from forwarder.report.hdr import encoded
from forwarder.report.openmetrics import sample_lines
from forwarder.results.lab import Cell
from forwarder.results.load import StoredResult
from forwarder.results.model import Direction, Distribution, Dut, Goal, Latency, Result, Test

VERSION = "1.5.1"

_TYPES: dict[Test, Literal["mrr", "ndrpdr", "soak", "reconf"]] = {
    "mrr": "mrr",
    "ndrpdr": "ndrpdr",
    "quick": "ndrpdr",
    "soak": "soak",
    "reconf": "reconf",
    "reset": "reconf",
}
_DIRECTIONS: dict[Direction, str] = {"forward": "latency_forward", "backward": "latency_reverse"}
_WIRE_BYTES = 20  # preamble, start of frame, gap
_LOADS = ("pdr_0", "pdr_10", "pdr_50", "pdr_90")
_US = 1_000


def uti(stored: StoredResult, cell: Cell | None = None) -> dict[str, Any]:
    """The test case. `cell`: that of a lab's result. Raises TtfwdError where latency can't be encoded."""
    result = stored.result
    if cell is not None:
        result = result.model_copy(update={"dut": _dut(cell, result.dut)})
    short = _name(f"{result.dut.title}-{result.test}")
    profile = result.profile
    frames = ("pcap",) if profile.pcap else (f"{profile.sizes}b", f"{profile.flows}f")
    tags = ("pcap",) if profile.pcap else (f"{profile.sizes}B", f"{profile.flows}flows")
    long = _name(f"{'-'.join((*(result.dut.devices or ('none',)), *frames))}-{short}")
    began, ended = datetime.fromisoformat(result.started), datetime.fromisoformat(result.ended)
    return {
        "version": VERSION,
        "test_id": f"ttfwd.bench.{long}",
        "test_name_long": long,
        "test_name_short": short,
        "test_documentation": "",
        "test_type": _TYPES.get(result.test, "device"),
        "tags": ["TTFWD", result.test.upper(), *(tag.upper() for tag in tags)],
        "dut_type": "ttfwd" if result.dut.kind in ("config", "instance") else result.dut.kind,
        "dut_version": result.dut.version or "unknown",
        "tg_type": f"ttfwd-{result.tester.generator}",
        "tg_version": result.ttfwd_version,
        "hosts": [result.host.fingerprint] if cell is None else sorted((cell.dut, cell.tester)),
        "start_time": result.started,
        "end_time": result.ended,
        "duration": max((ended - began).total_seconds(), 0.0),
        "passed": result.publishable,
        "message": "" if result.publishable else "; ".join(result.why_not) or "not publishable",
        "telemetry": sample_lines(result),
        "result": _result(result),
    }


def _dut(cell: Cell, seen: Dut) -> Dut:
    """The instance of the cell's device under test, of which the tester has seen two ends."""
    host = cell.hosts.get(cell.dut)
    named = {
        "kind": "instance",
        "title": f"{cell.dut}, driver {cell.driver}, {cell.queues} queue{'s' if cell.queues > 1 else ''}",
        "devices": cell.dut_interfaces,
        "version": host.version.get("ttfwd") if host and host.version else None,
    }
    return seen.model_copy(update=named)


def _name(text: str) -> str:
    return "_".join(text.lower().split())


def _result(result: Result) -> dict[str, Any]:
    """In CSIT's form of the test, where everything that the form requires was measured."""
    ndr, pdr = _goal(result.goals, 0.0), _goal(result.goals, 0.005)
    if ndr is not None and pdr is not None:
        found: dict[str, Any] = {"type": "ndrpdr", "ndr": {"lower": ndr}, "pdr": {"lower": pdr}}
        for direction, name in _DIRECTIONS.items():
            numbers = _latency(result.latency, direction)
            if numbers is not None:
                found[name] = numbers
        return _with_bandwidth(found, result)
    if result.mrr is not None:
        rates = [per_s * result.profile.directions for per_s in result.mrr.received_per_s]
        stdev = (result.mrr.stdev_per_s or 0.0) * result.profile.directions
        average = result.mrr.mean_per_s * result.profile.directions
        rate = {"unit": "pps", "values": rates, "avg": average, "stdev": stdev}
        return {"type": "mrr", "receive_rate": {"rate": rate}}
    if result.outages and result.test in ("reconf", "reset"):
        worst = max(result.outages, key=lambda outage: outage.lost)
        lost = {
            "packet": {"value": worst.lost, "unit": "packets"},
            "time": {"value": worst.blocked_s, "unit": "s"},
        }
        load = {"rate": _rate(worst.load_per_s * result.profile.directions)}
        return {"type": "reconf", "loss": lost, "aggregate_rate": load}
    return {"type": "unknown"}


def _rate(per_s: float) -> dict[str, Any]:
    return {"value": per_s, "unit": "pps"}


def _goal(goals: Sequence[Goal], loss_ratio: float) -> dict[str, Any] | None:
    """The mean conditional throughput of CSIT's goal of this loss ratio."""
    for goal in goals:
        known = [run.conditional_per_s for run in goal.runs if run.conditional_per_s is not None]
        if goal.loss_ratio == loss_ratio and known:
            return {"rate": _rate(fmean(known) * goal.aggregate_factor)}
    return None


def _with_bandwidth(found: dict[str, Any], result: Result) -> dict[str, Any]:
    wire_bits = 8 * (result.profile.mean_frame_bytes_with_fcs + _WIRE_BYTES)
    for name in ("ndr", "pdr"):
        bound = found[name]["lower"]
        bound["bandwidth"] = {"value": bound["rate"]["value"] * wire_bits, "unit": "bps"}
    return found


def _latency(found: Sequence[Latency], direction: Direction) -> dict[str, Any] | None:
    """The numbers at CSIT's four loads; None unless all four are there."""
    times = {one.load: one.path for one in found if one.direction == direction and one.path.samples}
    return {load: _numbers(times[load]) for load in _LOADS} if times.keys() >= set(_LOADS) else None


def _numbers(times: Distribution) -> dict[str, Any]:
    return {
        "min": round((times.min_ns or 0) / _US),
        "avg": round((times.mean_ns or 0) / _US),
        "max": max(round((times.max_ns or 0) / _US), 1),
        "hdrh": encoded(times, _US),
        "unit": "us",
    }

# SPDX-License-Identifier: Apache-2.0
"""A result in the OpenMetrics text format, for Prometheus' textfile collector and the like.

Names are `ttfwd_bench_*`, units are base units, ratios go from 0 to 1. All are gauges or summaries: the next
run's figures don't continue this one's. What isn't known is left out. Each sample names test and device.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from forwarder.report.percentiles import quantile_pairs
from forwarder.results.load import StoredResult
from forwarder.results.model import Distribution, Result

_Labels = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Sample:
    labels: _Labels
    value: float | None
    suffix: str = ""


@dataclass(frozen=True, slots=True)
class Family:
    name: str  # after the prefix; it ends in the unit, if there is one
    unit: str
    about: str
    samples: tuple[Sample, ...]
    kind: Literal["gauge", "info", "summary"] = "gauge"


def openmetrics(stored: StoredResult) -> str:
    """The whole exposition."""
    lines = []
    for family in families(stored.result):
        name = f"ttfwd_bench{family.name and '_'}{family.name}"
        lines += [f"# TYPE {name} {family.kind}"]
        lines += [f"# UNIT {name} {family.unit}"] if family.unit else []
        lines += [f"# HELP {name} {family.about}", *_samples(family, name, stored.result)]
    return "\n".join([*lines, "# EOF\n"])


def sample_lines(result: Result) -> list[str]:
    """The samples alone."""
    return [
        line
        for family in families(result)
        for line in _samples(family, f"ttfwd_bench{family.name and '_'}{family.name}", result)
    ]


def _samples(family: Family, name: str, result: Result) -> Iterator[str]:
    for sample in family.samples:
        if sample.value is not None:
            labels = {"test": result.test, "dut": result.dut.title, **sample.labels}
            written = ",".join(f'{key}="{_escaped(str(value))}"' for key, value in labels.items())
            yield f"{name}{sample.suffix}{{{written}}} {sample.value!r}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def families(result: Result) -> tuple[Family, ...]:
    """What the result has; families without a sample are left out."""
    found = (*_about(result), *_throughput(result), *_latency(result), *_events(result))
    return tuple(family for family in found if any(sample.value is not None for sample in family.samples))


def _one(value: float | None, **labels: object) -> tuple[Sample, ...]:
    return (Sample(labels, value),)


def _about(result: Result) -> Iterator[Family]:
    identity = {
        "run_id": result.run_id,
        "ttfwd_version": result.ttfwd_version,
        "sizes": result.profile.sizes,
        "fingerprint": result.host.fingerprint,
    }
    yield Family("", "", "What was measured, and where.", (Sample(identity, 1, "_info"),), "info")
    yield Family("publishable", "", "1 if the result may be published.", _one(int(result.publishable)))
    yield Family("complete", "", "0 if the run was interrupted.", _one(int(result.complete)))
    for name, text in (("started", result.started), ("ended", result.ended)):
        at = datetime.fromisoformat(text).timestamp()
        yield Family(f"{name}_timestamp_seconds", "seconds", f"When the run {name}.", _one(at))
    trials = _one(result.trials_counted, state="counted") + _one(result.trials_void, state="void")
    yield Family("trials", "", "Trials that count, and that were void.", trials)
    lost = result.lost
    places = {
        "before_dut": lost.before_dut,
        "after_dut": lost.after_dut,
        "receiver": lost.receiver,
        "unexplained": lost.unexplained,
    }
    samples = [Sample({"place": place, "reason": ""}, frames) for place, frames in places.items()]
    samples += [Sample({"place": "dut", "reason": reason}, frames) for reason, frames in lost.dut.items()]
    yield Family("lost_frames", "frames", "Frames lost in the trials that count, by place.", tuple(samples))
    cpu_ns = result.dut.cpu_ns_per_packet
    cpu_s = None if cpu_ns is None else cpu_ns / 1e9
    yield Family("packet_cpu_seconds", "seconds", "CPU time of the device for each packet.", _one(cpu_s))


_PER_S = "frames_per_second"


def _throughput(result: Result) -> Iterator[Family]:
    runs = [(goal, run) for goal in result.goals for run in goal.runs]
    bounds = (
        Sample({"goal": goal.name, "run": run.run, "bound": bound}, per_s)
        for goal, run in runs
        for bound, per_s in (
            ("lower", run.lower_per_s),
            ("upper", run.upper_per_s),
            ("conditional", run.conditional_per_s),
        )
    )
    about = "Bounds of each search, in one direction (RFC 9971)."
    yield Family(f"throughput_{_PER_S}", _PER_S, about, tuple(bounds))
    regular = (Sample({"goal": goal.name, "run": run.run}, int(run.regular)) for goal, run in runs)
    yield Family("goal_regular", "", "1 if the search found both bounds.", tuple(regular))
    selftest = result.tester.selftest
    limit = selftest.max_load_per_s if selftest else None
    yield Family(f"max_load_{_PER_S}", _PER_S, "What the tester alone sends and counts.", _one(limit))
    if result.mrr is not None:
        trials = (Sample({"trial": trial}, per_s) for trial, per_s in enumerate(result.mrr.received_per_s, 1))
        yield Family(f"mrr_{_PER_S}", _PER_S, "Received at the highest load.", tuple(trials))
    points = (Sample({"load": f"{one.intended_per_s:.10g}"}, one.loss_ratio) for one in result.loss_curve)
    yield Family("loss_ratio", "ratio", "Part that is lost, by the load in frames a second.", tuple(points))


def _latency(result: Result) -> Iterator[Family]:
    about = {
        "path": "From the stamp in a frame to the receiver's.",
        "response": "From when a frame was due to the receiver's stamp.",
        "lateness": "From when a frame was due to its stamp.",
    }
    for kind, text in about.items():
        samples = [
            sample
            for one in result.latency
            for sample in _summary(getattr(one, kind), {"load": one.load, "direction": one.direction})
        ]
        yield Family(f"{kind}_seconds", "seconds", text, tuple(samples), "summary")


def _summary(times: Distribution, labels: _Labels) -> Iterable[Sample]:
    for part, ns in quantile_pairs(times):
        yield Sample({**labels, "quantile": part}, ns / 1e9)
    if times.mean_ns is not None:
        yield Sample(labels, times.mean_ns * times.samples / 1e9, "_sum")
        yield Sample(labels, times.samples, "_count")


def _events(result: Result) -> Iterator[Family]:
    burst, soak = result.burst, result.soak
    if burst is not None:
        sizes = (
            Sample({"of": of}, frames)
            for of, frames in (
                ("min", burst.min_frames),
                ("mean", burst.mean_frames),
                ("max", burst.max_frames),
            )
        )
        yield Family("burst_frames", "frames", "The longest burst of which nothing is lost.", tuple(sizes))
    if soak is not None:
        yield Family("soak_frames", "frames", "Frames of the soak.", _one(soak.frames))
        yield Family("soak_lost_frames", "frames", "Frames that the soak lost.", _one(soak.lost))
        below = _one(soak.loss_ratio_below)
        yield Family(
            "soak_loss_below_ratio", "ratio", "The loss ratio is below, with 95 % confidence.", below
        )
    outages = (
        Sample({"event": outage.event, "number": number}, outage.blocked_s)
        for number, outage in enumerate(result.outages, 1)
    )
    yield Family("blocked_seconds", "seconds", "What events cost: lost frames by the load.", tuple(outages))

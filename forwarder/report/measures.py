# SPDX-License-Identifier: Apache-2.0
"""A result's figures in one form: what each is, its repetitions, and why it may not be the DUT's.

The comparison, the overview and the CSV are made of these.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from forwarder.report import figures, words
from forwarder.results.load import StoredResult
from forwarder.results.model import Distribution, Goal, Latency, Result, Trial, Verdict

Unit = Literal["frames/s", "frames", "ns", "s", "ratio"]

HISTOGRAM_STEP = 1 / 64  # buckets have 64 steps an octave

_LIMITS: dict[Verdict, str] = {
    "generator_limited": "limited by the generator",
    "receiver_limited": "limited by the receiver",
    "noisy": "disturbed by the machine",
    "inconclusive": "its limit isn't known",
}


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure."""

    key: str  # the same in every result: "goal pdr", "latency pdr_50 forward path p99"
    title: str
    value: float | None
    unit: Unit
    better: Literal["higher", "lower"]
    samples: tuple[float, ...] = ()  # of repetitions, whose mean or like `value` is
    sampled: str = ""  # what was repeated: "starts of the DUT", "trials"
    bounds: tuple[float, float] | None = None  # between which a single search found it
    resolution: float = 0.0  # relative: the measurement itself tells no smaller difference
    conditions: str = ""  # under which it was measured; only equal ones can be compared
    caveat: str | None = None  # why it isn't a figure of the DUT

    @property
    def shown(self) -> str:
        return show(self.value, self.unit)


def show(value: float | None, unit: Unit) -> str:
    match unit:
        case "frames/s":
            return figures.rate(value)
        case "ns":
            return figures.time(value)
        case "s":
            return figures.seconds(value)
        case "ratio":
            return figures.ratio(value)
        case "frames":
            return figures.NONE if value is None else f"{value:,.0f}"


def measures(stored: StoredResult) -> tuple[Measure, ...]:
    """Every figure of a result, in the order of a report."""
    result = stored.result
    found = [_goal(goal) for goal in result.goals]
    found += _rates(result)
    for point in result.loss_curve:
        load = f"{point.intended_per_s:.0f}"
        title = f"loss at {figures.rate(point.intended_per_s)}"
        found.append(Measure(f"loss {load}", title, point.loss_ratio, "ratio", "lower"))
    two_ways = len({latency.direction for latency in result.latency}) > 1
    for latency in result.latency:
        found += _latency(latency, stored.trials, f", {latency.direction}" if two_ways else "")
    found += _events(result)
    return tuple(found)


def _goal(goal: Goal) -> Measure:
    irregular = [run for run in goal.runs if not run.regular]
    regular = [run for run in goal.runs if run.regular]
    lower = tuple(run.lower_per_s for run in regular or goal.runs if run.lower_per_s is not None)
    limits = [_LIMITS[run.verdict] for run in goal.runs if run.verdict in _LIMITS]
    single = goal.runs[0] if len(goal.runs) == 1 else None
    bounds = None
    if single is not None and single.lower_per_s is not None and single.upper_per_s is not None:
        bounds = single.lower_per_s, single.upper_per_s
    return Measure(
        f"goal {goal.name}",
        f"{words.goal_title(goal)} ({words.goal_meaning(goal)})",
        goal.mean_per_s,
        "frames/s",
        "higher",
        lower,
        "starts of the DUT",
        bounds,
        goal.width,
        f"loss {figures.ratio(goal.loss_ratio)}, exceed {figures.ratio(goal.exceed_ratio)}, "
        f"{goal.duration_sum_s:g} s in all, final trials of {goal.final_trial_s:g} s",
        limits[0] if limits else "irregular" if irregular else None,
    )


def _rates(result: Result) -> Iterator[Measure]:
    mrr = result.mrr
    if mrr is not None:
        caveat = _LIMITS.get(mrr.verdict)
        yield Measure(
            "mrr", "MRR", mrr.mean_per_s, "frames/s", "higher", mrr.received_per_s, "trials", caveat=caveat
        )
    selftest = result.tester.selftest
    if result.test == "selftest" and selftest is not None:
        yield Measure("selftest", "self-test's maximum load", selftest.max_load_per_s, "frames/s", "higher")


def _latency(latency: Latency, trials: tuple[Trial, ...], direction: str) -> Iterator[Measure]:
    counted = [
        way
        for trial in trials
        if trial.purpose == f"latency {latency.load}" and not trial.void
        for way in trial.ways
        if way.direction == latency.direction
    ]
    kinds: tuple[tuple[str, Distribution, list[Distribution]], ...] = (
        ("path", latency.path, [way.path for way in counted]),
        ("response", latency.response, [way.response for way in counted]),
    )
    for kind, times, single in kinds:
        for name in ("p50", "p99", "p999"):
            key = f"{name}_ns"
            each = [getattr(one, key) for one in single]
            yield Measure(
                f"latency {latency.load} {latency.direction} {kind} {name}",
                f"{kind} {_QUANTILES[name]} at {words.load_title(latency.load)}{direction}",
                getattr(times, key),
                "ns",
                "lower",
                tuple(float(ns) for ns in each if ns is not None),
                "trials",
                resolution=HISTOGRAM_STEP,
            )


_QUANTILES = {"p50": "median", "p99": "p99", "p999": "p99.9"}


def _events(result: Result) -> Iterator[Measure]:
    burst, soak = result.burst, result.soak
    if burst is not None:
        frames = tuple(map(float, burst.frames))
        yield Measure(
            "burst", "longest burst without loss", burst.mean_frames, "frames", "higher", frames, "bursts"
        )
    if soak is not None:
        ratio = soak.lost / soak.frames if soak.frames else None
        yield Measure("soak", "loss of the soak", ratio, "ratio", "lower")
    by_event: dict[str, list[float]] = {}
    for outage in result.outages:
        by_event.setdefault(outage.event, []).append(outage.blocked_s)
    for event, blocked_s in by_event.items():
        mean = sum(blocked_s) / len(blocked_s)
        yield Measure(f"outage {event}", f"blocked: {event}", mean, "s", "lower", tuple(blocked_s), "events")

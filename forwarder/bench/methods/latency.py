# SPDX-License-Identifier: Apache-2.0
"""Latency at parts of a throughput: how long frames take, from their stamp and from when they were due.

The time at a load is several trials, so a disturbance costs one of them. Their frames are counted together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from forwarder.bench.context import Bench
from forwarder.bench.methods.merged import merged
from forwarder.bench.profile import LatencyKeys
from forwarder.results.model import Distribution, Latency, Trial, Way
from forwarder.tester.trial import Load

IDLE_PER_S = 1000.0  # what "0 %" is: something must be sent


def latency(bench: Bench, keys: LatencyKeys, base_per_s: float, base: str) -> None:
    """Add a row for each load and direction. Loads are parts of `base_per_s`, which is called `base`."""
    trials = math.ceil(keys.duration_s / keys.trial_s)
    for percent in keys.loads_percent:
        load = Load(
            per_s=max(IDLE_PER_S, base_per_s * percent / 100),
            duration_s=min(keys.trial_s, keys.duration_s),
        )
        name = f"{base}_{percent:g}"
        made = [bench.runner.trial(load, f"latency {name}") for _ in range(trials)]
        bench.parts.latency.extend(_rows(name, load, made))


def _rows(name: str, load: Load, trials: Sequence[Trial]) -> list[Latency]:
    return [_row(name, load, [trial.ways[index] for trial in trials]) for index in range(len(trials[0].ways))]


def _row(name: str, load: Load, ways: Sequence[Way]) -> Latency:
    def together(which: Callable[[Way], Distribution]) -> Distribution:
        return merged([which(way) for way in ways])

    path = together(lambda way: way.path)
    ipdv = [way.ipdv for way in ways if way.ipdv is not None]
    jitters = [way.rfc3550_jitter_ns for way in ways if way.rfc3550_jitter_ns is not None]
    return Latency(
        load=name,
        intended_per_s=load.per_s,
        direction=ways[0].direction,
        trials=len(ways),
        lost=sum(way.lost for way in ways),
        duplicates=sum(way.duplicates for way in ways),
        reordered=sum(way.reordered for way in ways),
        path=path,
        response=together(lambda way: way.response),
        lateness=together(lambda way: way.lateness),
        pdv_ns=path.p999_ns - path.min_ns if path.p999_ns is not None and path.min_ns is not None else None,
        ipdv=merged(ipdv) if ipdv else None,
        rfc3550_jitter_ns=sum(jitters) / len(jitters) if jitters else None,
    )

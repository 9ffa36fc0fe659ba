# SPDX-License-Identifier: Apache-2.0
"""Results as bench writes them, made up: whole, interrupted, irregular, and of every test.

A result's figures follow from few arguments (a PDR, a median), so that a test can say what a reader must see.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from math import exp, floor, log2
from pathlib import Path
from statistics import NormalDist, fmean, stdev
from typing import Any

from forwarder.results.load import StoredResult
from forwarder.results.model import (
    Burst,
    Direction,
    Distribution,
    Disturbance,
    Dut,
    Goal,
    GoalRun,
    Host,
    Latency,
    LossPoint,
    Lost,
    Outage,
    Profile,
    Rate,
    Result,
    Selftest,
    Soak,
    Tester,
    Trial,
    Verdict,
    Way,
)

MAX_LOAD_PER_S = 1_400_000.0
STEPS_AN_OCTAVE = 64
NORMAL = NormalDist()


@cache
def distribution(samples: int, median_ns: float, sigma: float = 0.6) -> Distribution:
    """Log-normal times, in buckets of 64 steps an octave."""
    if not samples:
        return Distribution(samples=0)
    tail = NORMAL.inv_cdf(1 - 0.5 / samples) if samples > 1 else 0.0
    low, high = (median_ns * exp(sign * sigma * tail) for sign in (-1, 1))
    edges = [
        round(2 ** (step / STEPS_AN_OCTAVE))
        for step in range(floor(log2(low) * STEPS_AN_OCTAVE), floor(log2(high) * STEPS_AN_OCTAVE) + 2)
    ]
    edges = sorted({edge for edge in edges if edge > 1})

    def below(ns: int) -> int:
        return round(samples * NORMAL.cdf(log2(ns / median_ns) / (sigma * 1.4427)))

    counts = [after - before for before, after in pairwise(map(below, [1, *edges]))]
    buckets = [(edge, count) for edge, count in zip(edges, counts, strict=True) if count]
    missing = samples - sum(count for _, count in buckets)
    if missing:
        buckets.append((edges[-1] + 1, missing))

    def quantile(part: float) -> int:
        seen = 0
        for edge, count in buckets:
            seen += count
            if seen >= part * samples:
                return edge
        return buckets[-1][0]

    return Distribution(
        samples=samples,
        min_ns=buckets[0][0] - 1,
        mean_ns=sum(edge * count for edge, count in buckets) / samples,
        p50_ns=quantile(0.5),
        p90_ns=quantile(0.9) if samples >= 100 else None,
        p99_ns=quantile(0.99) if samples >= 1_000 else None,
        p999_ns=quantile(0.999) if samples >= 10_000 else None,
        p9999_ns=quantile(0.9999) if samples >= 1_000_000 else None,
        max_ns=buckets[-1][0],
        buckets=tuple(buckets),
    )


def way(
    per_s: float,
    duration_s: float,
    lost: int = 0,
    *,
    direction: Direction = "forward",
    unsent: int = 0,
    median_ns: float = 2_300,
) -> Way:
    intended = round(per_s * duration_s)
    sent = intended - unsent
    received = sent - lost
    return Way(
        direction=direction,
        intended=intended,
        sent=sent,
        unsent=unsent,
        received=received,
        path=distribution(received, median_ns, 0.5 + min(per_s, 8e5) / 1e6),
        response=distribution(received, median_ns * 1.1, 0.6 + min(per_s, 8e5) / 1e6),
        lateness=distribution(sent, 60, 0.9),
    )


def trial(
    number: int,
    per_s: float,
    lost: int = 0,
    *,
    purpose: str = "search",
    run: int = 1,
    duration_s: float = 1.0,
    void: Sequence[str] = (),
    verdict: Verdict | None = None,
    unsent: int = 0,
    directions: int = 1,
    median_ns: float = 2_300,
) -> Trial:
    """One trial; `lost` frames in each direction, all of them dropped by the DUT as tx_full."""
    ways = [way(per_s, duration_s, lost, unsent=unsent, median_ns=median_ns)]
    if directions == 2:
        ways.append(way(per_s, duration_s, lost, direction="backward", median_ns=median_ns))
    return Trial(
        number=number,
        started=f"2026-11-27T10:{number // 60:02}:{number % 60:02}.000Z",
        purpose=purpose,
        run=run,
        intended_per_s=per_s,
        duration_s=duration_s,
        whole_s=duration_s + 1.2,
        ways=tuple(ways),
        lost=Lost(dut={"tx_full": lost * directions} if lost else {}),
        void=tuple(void),
        verdict=verdict,
        disturbance=Disturbance(
            foreign_cpu_ratio=0.31 if void else 0.012, steal_ratio=0.001, preemptions=3, clock_step_ns=None
        ),
    )


def goal(
    name: str,
    lower_per_s: Sequence[float | None],
    *,
    loss_ratio: float = 0.0,
    width: float = 0.005,
    verdict: Verdict = "dut_limited",
    regular: bool = True,
    directions: int = 1,
) -> Goal:
    """A goal with a run for each lower bound; irregular runs have no upper bound."""
    runs = tuple(
        GoalRun(
            run=number,
            regular=regular,
            lower_per_s=lower,
            upper_per_s=lower / (1 - width * 0.9) if regular and lower is not None else None,
            conditional_per_s=lower * (1 - loss_ratio / 2) if lower is not None else None,
            verdict=verdict,
            why=None if regular else "the maximum load itself meets the goal: the DUT's limit is higher",
        )
        for number, lower in enumerate(lower_per_s, 1)
    )
    found = [run.lower_per_s for run in runs if run.lower_per_s is not None]
    return Goal(
        name=name,
        loss_ratio=loss_ratio,
        exceed_ratio=0.5,
        duration_sum_s=21.0,
        initial_trial_s=1.0,
        final_trial_s=1.0,
        width=width,
        runs=runs,
        mean_per_s=fmean(found) if found else None,
        stdev_per_s=stdev(found) if len(found) > 1 else None,
        aggregate_factor=directions,
    )


def latency(
    load: str, per_s: float, median_ns: float, *, direction: Direction = "forward", frames: int = 1_200_000
) -> Latency:
    sigma = 0.5 + min(per_s, 8e5) / 1e6
    path = distribution(frames, median_ns, sigma)
    return Latency(
        load=load,
        intended_per_s=per_s,
        direction=direction,
        trials=3,
        lost=0,
        duplicates=0,
        reordered=0,
        path=path,
        response=distribution(frames, median_ns * 1.1, sigma + 0.15),
        lateness=distribution(frames, 60, 0.9),
        pdv_ns=None if path.p999_ns is None or path.min_ns is None else path.p999_ns - path.min_ns,
        ipdv=distribution(frames - 1, median_ns / 4, 0.8),
        rfc3550_jitter_ns=median_ns / 9,
    )


def host(**facts: Any) -> Host:
    return Host(
        fingerprint="sha256:5d2e9a17c0b4",
        facts={
            "cpu": {"model": "AMD EPYC 9B14", "cpus": 2, "governor": "unknown", "smt": "off"},
            "kernel": {"release": "6.18.0", "debug": []},
            "clock": {"source": "kvm-clock"},
            "memory": {"thp": "madvise"},
            **facts,
        },
        delta={"steal_ms": {"0": 12, "1": 31}, "softnet_dropped": 0},
    )


def profile(sizes: str = "60", mean: float = 60.0, directions: int = 1) -> Profile:
    return Profile(
        sizes=sizes,
        mean_frame_bytes=mean,
        mean_frame_bytes_with_fcs=mean + 4,
        ip=4,
        flows=64,
        flow_order="incremental",
        seed=1,
        directions=2 if directions == 2 else 1,
    )


def dut(title: str = "driver uring, 1 queue") -> Dut:
    return Dut(
        kind="config",
        title=title,
        devices=("rb0", "rb1"),
        version="0.1.0",
        config={"mode": "xconnect", "queues": 1, "port": [{"name": "rb0"}, {"name": "rb1"}]},
        cpus=(1,),
        cpu_ns_per_packet=812.0,
    )


def result(**changes: Any) -> Result:
    """A bare result: no test's figures are in it. `changes` are keys of Result."""
    values: dict[str, Any] = {
        "test": "ndrpdr",
        "run_id": "20261127T100000-ndrpdr-4f21",
        "command": ("ttfwd", "bench", "ndrpdr", "--dut", "configs/1q.toml", "--repeat", "3"),
        "started": "2026-11-27T10:00:00.000Z",
        "ended": "2026-11-27T10:09:30.000Z",
        "complete": True,
        "publishable": True,
        "why_not": (),
        "ttfwd_version": "0.1.0",
        "profile": profile(),
        "deviations": ("waits 2 s for stragglers, and 0.1 s after them (RFC 2544: 5 s)",),
        "tester": Tester(
            generator="xdp",
            receiver="tc",
            timestamps="kernel",
            generator_cpus=(0,),
            receiver_cpus=(0,),
            cpus_shared=False,
            selftest=Selftest(
                max_load_per_s=MAX_LOAD_PER_S,
                max_load_sizes="60",
                path=distribution(1_000_000, 310, 0.2),
                lateness=distribution(1_000_000, 60, 0.9),
                limit_lateness_p999_ns=50_000,
                limit_foreign_cpu_ratio=0.05,
                limit_steal_ratio=0.01,
                limit_preemptions_per_s=16.0,
            ),
        ),
        "dut": dut(),
        "trials_counted": 0,
        "trials_void": 0,
        "lost": Lost(),
        "host": host(),
    }
    return Result(**{**values, **changes})


def search_trials(pdr_per_s: float, runs: int) -> tuple[Trial, ...]:
    """Trials as a search makes them: above the PDR frames are lost, and one trial in each run is void."""
    trials: list[Trial] = []
    for run in range(1, runs + 1):
        for step, ratio in enumerate((1.8, 0.5, 1.2, 0.8, 1.05, 0.95, 1.01, 0.99, 0.99)):
            per_s = pdr_per_s * ratio
            disturbed = step == 3
            over = max(0.0, 1 - 1 / ratio)
            trials.append(
                trial(
                    len(trials) + 1,
                    per_s,
                    round(per_s * over) + (40 if ratio == 0.99 else 0),
                    run=run,
                    void=("foreign CPU 31 %: more than 5 %",) if disturbed else (),
                    verdict="noisy" if disturbed else "dut_limited" if over else None,
                )
            )
    return tuple(trials)


def full(
    pdr_per_s: Sequence[float] = (571_000.0, 569_500.0, 572_300.0), median_ns: float = 2_300, **changes: Any
) -> StoredResult:
    """A whole ndrpdr: both goals, latency at four loads, every search's trials."""
    mean = fmean(pdr_per_s)
    loads = {"pdr_0": 1_000.0, "pdr_10": mean * 0.1, "pdr_50": mean * 0.5, "pdr_90": mean * 0.9}
    trials = search_trials(mean, len(pdr_per_s))
    for load, per_s in loads.items():
        for repeat in range(3):
            number = len(trials) + 1
            purpose, median = f"latency {load}", median_ns * (1 + 0.01 * repeat)
            trials += (trial(number, per_s, purpose=purpose, duration_s=0.2, median_ns=median),)
    lost = sum(one.lost.total for one in trials if not one.void)
    values: dict[str, Any] = {
        "goals": (
            goal("ndr", [one * 0.497 for one in pdr_per_s]),
            goal("pdr", pdr_per_s, loss_ratio=0.005),
        ),
        "latency": tuple(
            latency(
                load, per_s, median_ns * (1 + per_s / 1e6), frames=1_200_000 if load != "pdr_0" else 3_000
            )
            for load, per_s in loads.items()
        ),
        "trials_counted": sum(not one.void for one in trials),
        "trials_void": sum(bool(one.void) for one in trials),
        "lost": Lost(dut={"tx_full": lost}),
    }
    return StoredResult(Path("result.json"), result(**{**values, **changes}), trials)


def interrupted() -> StoredResult:
    """Ctrl-C in the first search: one goal has a lower bound, the other none."""
    found = full(
        (571_000.0,),
        complete=False,
        publishable=False,
        why_not=("it was interrupted before its end", "goal ndr: irregular"),
        goals=(
            goal("ndr", [None], regular=False),
            goal("pdr", [410_000.0], loss_ratio=0.005, regular=False, verdict="inconclusive"),
        ),
        latency=(),
    )
    return StoredResult(found.path, found.result, found.trials[:5], found.remarks)


def generator_limited() -> StoredResult:
    """The DUT is faster than the generator: the maximum load is all that is known."""
    return full(
        (MAX_LOAD_PER_S,),
        publishable=False,
        why_not=("goal ndr: limited by the generator, at 1,400,000 frames/s",),
        goals=(goal("ndr", [MAX_LOAD_PER_S], regular=False, verdict="generator_limited"),),
    )


def every_test() -> dict[str, StoredResult]:
    """A result of each test, by its name. Nothing in it is left out that the test could give."""
    rates = (1_190_000.0, 1_201_000.0, 1_187_500.0)
    points = tuple(
        LossPoint(
            intended_per_s=1.4e6 * tenth / 10,
            sent_per_s=1.4e6 * tenth / 10,
            received_per_s=min(1.4e6 * tenth / 10, 9e5),
            loss_ratio=max(0.0, 1 - 9e5 / (1.4e6 * tenth / 10)),
            trials=1,
        )
        for tenth in range(10, 0, -1)
    )
    only: dict[str, dict[str, Any]] = {
        "selftest": {"dut": Dut(kind="none", title="no device: the tester alone", devices=())},
        "mrr": {
            "mrr": Rate(
                intended_per_s=1.4e6,
                received_per_s=rates,
                mean_per_s=fmean(rates),
                stdev_per_s=stdev(rates),
                verdict="dut_limited",
            )
        },
        "latency": {"latency": full().result.latency},
        "loss": {"loss_curve": points},
        "burst": {
            "burst": Burst(
                load_per_s=1.4e6,
                frames=(1410, 1405, 1412),
                min_frames=1405,
                mean_frames=1409.0,
                max_frames=1412,
                stdev_frames=3.6,
                buffer_s=0.001006,
                corrected_buffer_s=0.0006,
            )
        },
        "soak": {
            "soak": Soak(
                load_per_s=250_000,
                duration_s=60,
                frames=15_000_000,
                lost=7,
                lost_each_second=(0,) * 20 + (7,) + (0,) * 39,
                loss_ratio_below=9.3e-7,
            )
        },
        "reconf": {
            "outages": (
                Outage(event="port rb2 connected", load_per_s=2e5, lost=0, blocked_s=0.0, longest_gap_s=2e-5),
                Outage(event="port rb2 deleted", load_per_s=2e5, lost=12, blocked_s=6e-5, longest_gap_s=None),
            )
        },
        "reset": {
            "outages": tuple(
                Outage(
                    event="worker 0 killed", load_per_s=2e5, lost=n, blocked_s=n / 2e5, longest_gap_s=n / 2e5
                )
                for n in (812, 790, 845)
            )
        },
    }
    found = {
        name: StoredResult(Path("result.json"), result(test=name, **values), ())
        for name, values in only.items()
    }
    found["ndrpdr"] = full()
    found["quick"] = full(
        (571_000.0,), test="quick", publishable=False, why_not=("goal quick is no standard",)
    )
    return found


def write(stored: StoredResult, directory: Path) -> Path:
    """Put a result's files into a directory as bench does, and return the directory."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "result.json").write_text(stored.result.model_dump_json(indent=1) + "\n")
    lines = [one.model_dump_json() + "\n" for one in stored.trials]
    (directory / stored.result.trials).write_text("".join(lines))
    return directory

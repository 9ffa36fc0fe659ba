# SPDX-License-Identifier: Apache-2.0
"""What stands against publishing is found, and nothing else does."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from forwarder.bench.context import Bench
from forwarder.bench.goals import goals
from forwarder.bench.host_state import blocking, host_against, purpose
from forwarder.host.checkup import Checkup
from forwarder.host.facts import facts
from forwarder.host.finding import Case, Finding, Level, Purpose
from forwarder.host.look import Look
from forwarder.results.model import (
    Distribution,
    Disturbance,
    Latency,
    Rate,
    Test,
)
from tests.support.simulated import (
    QUIET,
    distribution,
)
from tests.unit.bench_measurement import LOAD, SELFTEST, Measurement


@pytest.fixture
def measurement(tmp_path: Path) -> Measurement:
    return Measurement(tmp_path / "result")


def why_not(measurement: Measurement, test: Callable[[Bench], None] | None = None) -> tuple[str, ...]:
    result = measurement.conduct(test or measurement.search("ndr"))
    assert result.publishable == (not result.why_not)
    return result.why_not


def test_stolen_time_does(measurement: Measurement) -> None:
    stolen = QUIET.model_copy(update={"steal_ratio": 0.004})
    measurement.machine.disturbances = [QUIET, stolen]
    assert why_not(measurement) == ("steal: up to 0.4% of a trial's time went to other virtual machines",)


def test_an_unknown_does(measurement: Measurement) -> None:
    measurement.machine.disturbances = [Disturbance()]
    assert why_not(measurement) == (
        "unknown: the machine doesn't tell steal",
        "unknown: the machine doesn't tell the CPU time of others",
    )


def test_shared_cpus_do(measurement: Measurement) -> None:
    measurement.cpus_shared = True
    assert why_not(measurement) == ("tester and DUT share CPUs",)


def test_the_state_of_the_host_does(measurement: Measurement) -> None:
    measurement.host = ("CPU 1 isn't isolated",)
    assert why_not(measurement) == ("CPU 1 isn't isolated",)


@pytest.mark.slow
def test_noise_of_the_tester_does(measurement: Measurement) -> None:
    measurement.selftest = SELFTEST.model_copy(update={"lateness": distribution(60, 90_000)})
    assert why_not(measurement) == ("noise: the tester alone is late by 90 us (p99.9), limit 20 us",)


def test_no_self_test_does(measurement: Measurement) -> None:
    measurement.selftest = None
    assert why_not(measurement) == ("the tester wasn't tested against itself",)


@pytest.mark.slow
def test_more_void_trials_than_others_do(measurement: Measurement) -> None:
    busy = Disturbance(foreign_cpu_ratio=0.5, steal_ratio=0.0)
    measurement.machine.disturbances = [busy, busy, QUIET] * 200
    (reason,) = why_not(measurement)
    assert reason.startswith("noisy: ")


def test_a_first_look_does(measurement: Measurement) -> None:
    assert why_not(measurement, measurement.search("quick")) == (
        "goal quick_ndr is a first look: 3 s at a load, 2.0% wide",
        "goal quick_pdr is a first look: 3 s at a load, 2.0% wide",
    )


def test_one_start_of_the_dut_does(measurement: Measurement) -> None:
    assert why_not(measurement, measurement.search("ndr", times=1)) == (
        "goal ndr: 1 of the 3 starts of the DUT that tell a spread",
    )


def test_a_limit_that_is_not_the_duts_does(measurement: Measurement) -> None:
    measurement.dut.capacity_per_s = 1e9
    assert why_not(measurement)[0] == (
        "goal ndr, run 1: irregular: the DUT forwards the most that the tester can send"
    )


def test_rates_and_tails_of_the_tester_do(measurement: Measurement) -> None:
    def test(bench: Bench) -> None:
        bench.runner.trial(LOAD, "mrr")
        bench.parts.mrr = Rate(
            intended_per_s=1e6,
            received_per_s=(1e6,),
            mean_per_s=1e6,
            stdev_per_s=None,
            verdict="generator_limited",
        )
        for load, path, late in (
            ("pdr_10", distribution(2_000, 300_000), distribution(60, 19_000)),
            ("pdr_50", distribution(2_000, 100_000), distribution(60, 11_000)),
            ("pdr_90", distribution(2_000, 300_000), Distribution(samples=9)),
        ):
            bench.parts.latency.append(
                Latency(
                    load=load,
                    intended_per_s=1e5,
                    direction="forward",
                    trials=1,
                    lost=0,
                    duplicates=0,
                    reordered=0,
                    path=path,
                    response=path,
                    lateness=late,
                    pdv_ns=None,
                    ipdv=None,
                    rfc3550_jitter_ns=None,
                )
            )

    assert why_not(measurement, test) == (
        "MRR: generator_limited: it isn't the DUT's limit that was found",
        "latency at pdr_50, forward: the generator is late by 11 us (p99.9)",
        "latency at pdr_90, forward: the generator is late by an unknown time (p99.9)",
    )


# The state of the host


def finding(name: str, level: Level) -> Finding:
    return Finding(name, level, name.upper(), "bad", "/proc/file", "It matters.")


def checkup(*findings: Finding) -> Checkup:
    return Checkup(Case("latency", frozenset({1}), frozenset({0})), facts(), cast(Look, None), findings)


def test_what_the_doctor_blocks_does_but_for_others_at_that_moment() -> None:
    found = checkup(
        finding("noise", "block"),
        finding("steal", "block"),
        finding("neighbours", "block"),
        finding("ticks", "warn"),
        finding("debug_kernel", "unknown"),
    )
    assert blocking(found) == ("NOISE: bad",)


def test_cpus_that_are_not_isolated_do_where_the_doctor_warns_of_it() -> None:
    assert blocking(checkup(finding("isolated", "warn"))) == ("ISOLATED: bad",)
    assert blocking(checkup(finding("isolated", "unknown"))) == ("ISOLATED: bad",)
    assert blocking(checkup(finding("isolated", "advise"))) == ()  # for rates that bear a short stop


@pytest.mark.parametrize(
    ("test", "names", "expected"),
    [
        ("ndrpdr", "pdr", "throughput"),
        ("ndrpdr", "ndr,pdr", "latency"),
        ("ndrpdr", "rfc2544", "latency"),
        ("mrr", "ndr,pdr", "throughput"),
        ("loss", "ndr", "throughput"),
        ("latency", "pdr", "latency"),
        ("soak", "pdr", "latency"),
        ("selftest", "pdr", "latency"),
    ],
)
def test_what_a_stop_of_the_machine_spoils_needs_a_stiller_one(
    test: Test, names: str, expected: Purpose
) -> None:
    assert purpose(test, goals(names)) == expected


@pytest.mark.slow
def test_a_look_at_this_host_gives_reasons_in_words() -> None:
    for reason in host_against("latency", os.sched_getaffinity(0), (os.getpid(),)):
        assert ": " in reason

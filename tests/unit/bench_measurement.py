# SPDX-License-Identifier: Apache-2.0
"""A whole measurement of a simulated DUT: what `ttfwd bench` does, without a command line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from forwarder.bench.conduct import conduct
from forwarder.bench.context import Bench
from forwarder.bench.directory import ResultDirectory
from forwarder.bench.goals import goals
from forwarder.bench.outcome import Setting
from forwarder.bench.repeats import repeat
from forwarder.bench.search import search
from forwarder.results.model import (
    Host,
    Result,
    Selftest,
    Tester,
    Trial,
)
from forwarder.tester.trial import Load
from tests.support.simulated import (
    SimulatedClock,
    SimulatedDut,
    SimulatedMachine,
    SimulatedTester,
    selftest_of,
    simulated_bench,
    simulated_runner,
)

LOAD = Load(per_s=1e6, duration_s=1.0)
SELFTEST = selftest_of(2e6)


class Measurement:
    """Of a simulated DUT, into a directory: what `ttfwd bench` does."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.dut = SimulatedDut()
        self.clock = SimulatedClock()
        self.machine = SimulatedMachine()
        self.host: Sequence[str] = ()
        self.cpus_shared = False
        self.selftest: Selftest | None = SELFTEST
        self.before_trial: Callable[[int], None] = lambda number: None

    def conduct(self, test: Callable[[Bench], None]) -> Result:
        tester = SimulatedTester(self.dut, self.clock, before_trial=self.before_trial)
        with ResultDirectory(self.path) as directory:
            runner = simulated_runner(tester, directory.journal, machine=self.machine)
            return conduct(self._setting(), simulated_bench(runner, self.dut), directory, test)

    def _setting(self) -> Setting:
        return Setting(
            test="ndrpdr",
            run_id="run",
            command=("ttfwd", "bench", "ndrpdr"),
            started="2026-01-01T00:00:00+00:00",
            ttfwd_version="0.1.0",
            tester=Tester(
                generator="xdp",
                receiver="tc",
                timestamps="kernel",
                generator_cpus=(0,),
                receiver_cpus=(0,),
                cpus_shared=self.cpus_shared,
                selftest=self.selftest,
            ),
            host=lambda: Host(fingerprint="sha256:0", facts={}, delta={}),
            host_against=tuple(self.host),
        )

    def search(self, names: str = "ndr", times: int = 3) -> Callable[[Bench], None]:
        def test(bench: Bench) -> None:
            repeat(bench, times, lambda bench: search(bench, goals(names), clock=self.clock))

        return test


def stored(measurement: Measurement) -> Result:
    return Result.model_validate_json((measurement.path / "result.json").read_text())


def trials(measurement: Measurement) -> list[Trial]:
    lines = (measurement.path / "trials.jsonl").read_text().splitlines()
    return [Trial.model_validate_json(line) for line in lines]

# SPDX-License-Identifier: Apache-2.0
"""What was measured is a result, whatever ends the measurement."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from forwarder.bench.conduct import exit_code
from forwarder.bench.context import Bench
from forwarder.bench.goals import goals
from forwarder.bench.interrupts import signals_ignored, signals_interrupt
from forwarder.bench.repeats import spread
from forwarder.bench.search import search
from forwarder.errors import DeviceError, ExitCode
from forwarder.results.model import (
    Disturbance,
)
from tests.unit.bench_measurement import LOAD, Measurement, stored, trials


@pytest.fixture
def measurement(tmp_path: Path) -> Measurement:
    return Measurement(tmp_path / "result")


@pytest.mark.slow
def test_a_good_measurement_is_publishable(measurement: Measurement) -> None:
    result = measurement.conduct(measurement.search("ndr,pdr"))
    assert result.why_not == ()
    assert (result.complete, result.publishable, exit_code(result)) == (True, True, ExitCode.DONE)
    assert stored(measurement) == result
    assert sorted(path.name for path in measurement.path.iterdir()) == ["result.json", "trials.jsonl"]
    assert result.trials_counted == len(trials(measurement))
    assert result.lost.dut["inside"] == sum(trial.ways[0].lost for trial in trials(measurement))
    ndr, pdr = result.goals
    assert (ndr.name, pdr.name, ndr.aggregate_factor) == ("ndr", "pdr", 1)
    assert [run.run for run in ndr.runs] == [1, 2, 3]
    assert ndr.mean_per_s == pytest.approx(1.2e6, rel=0.005)
    assert ndr.stdev_per_s == pytest.approx(0.0, abs=1e-3)
    assert measurement.dut.starts == 3
    assert {trial.run for trial in trials(measurement)} == {1, 2, 3}


def test_the_mean_is_of_regular_runs(measurement: Measurement) -> None:
    def test(bench: Bench) -> None:
        search(bench, goals("ndr"), clock=measurement.clock)
        measurement.dut.capacity_per_s = 1e9
        bench.runner.run = 2
        search(bench, goals("ndr"), clock=measurement.clock)

    (ndr,) = measurement.conduct(test).goals
    assert [run.regular for run in ndr.runs] == [True, False]
    assert ndr.mean_per_s == ndr.runs[0].lower_per_s
    assert ndr.stdev_per_s is None


def test_spread() -> None:
    assert spread([]) == (None, None)
    assert spread([3.0]) == (3.0, None)
    mean, stdev = spread([1.0, 3.0])
    assert mean == 2.0
    assert stdev == pytest.approx(2**0.5)


# Interrupted


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (KeyboardInterrupt(), "not complete: interrupted"),
        (DeviceError("device veth0 is gone"), "not complete: device veth0 is gone"),
    ],
)
def test_what_was_measured_before_an_interruption_is_a_result(
    measurement: Measurement, error: BaseException, why: str
) -> None:
    def fail(number: int) -> None:
        if number == 60:
            raise error

    measurement.before_trial = fail
    result = measurement.conduct(measurement.search("ndr"))
    assert stored(measurement) == result
    assert len(trials(measurement)) == 59
    assert (result.complete, result.publishable) == (False, False)
    assert exit_code(result) == ExitCode.NOT_PUBLISHABLE
    assert why in result.why_not
    (goal,) = result.goals
    assert [run.regular for run in goal.runs] == [True, True, False]
    assert goal.runs[-1].lower_per_s is not None


@pytest.mark.parametrize("error", [KeyboardInterrupt(), DeviceError("device veth0 is gone")])
def test_an_interruption_before_the_first_trial_leaves_nothing(
    measurement: Measurement, error: BaseException
) -> None:
    def fail(number: int) -> None:
        raise error

    measurement.before_trial = fail
    with pytest.raises(type(error)):
        measurement.conduct(measurement.search())
    assert not measurement.path.exists()


def test_a_machine_that_is_too_noisy_leaves_its_trials_and_no_result(measurement: Measurement) -> None:
    busy = Disturbance(foreign_cpu_ratio=0.5, steal_ratio=0.0)
    measurement.machine.disturbances = [busy] * 10

    def test(bench: Bench) -> None:
        bench.runner.trial(LOAD, "mrr")

    with pytest.raises(Exception, match="10 trials in a row are void"):
        measurement.conduct(test)
    assert [trial.verdict for trial in trials(measurement)] == ["noisy"] * 10
    assert not (measurement.path / "result.json").exists()


def test_sigterm_is_an_interruption_and_comes_once(measurement: Measurement) -> None:
    def fail(number: int) -> None:
        if number == 20:
            os.kill(os.getpid(), signal.SIGTERM)

    measurement.before_trial = fail
    with signals_interrupt():
        result = measurement.conduct(measurement.search("ndr"))
        os.kill(os.getpid(), signal.SIGINT)  # while the end is under way
    assert "not complete: interrupted" in result.why_not
    assert len(trials(measurement)) == 19


def test_an_ignored_signal_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # nohup
    try:
        with signals_interrupt():
            os.kill(os.getpid(), signal.SIGHUP)
        with signals_ignored():
            os.kill(os.getpid(), signal.SIGINT)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)

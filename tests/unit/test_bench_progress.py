# SPDX-License-Identifier: Apache-2.0
"""What is shown while bench measures: lines in a pipe, a picture on a terminal, nothing for a program."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest

from forwarder.bench.journal import Journal
from forwarder.bench.seams import Progress
from forwarder.cli.bench_progress import NoProgress, ProgressView
from forwarder.results.model import Disturbance
from forwarder.tester.trial import Load
from tests.support.simulated import (
    SimulatedClock,
    SimulatedDut,
    SimulatedMachine,
    SimulatedTester,
    simulated_runner,
)

LOAD = Load(per_s=1.5e6, duration_s=1.0)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Full(io.StringIO):
    """A disk or a terminal that takes nothing any more."""

    def write(self, text: str) -> int:
        raise OSError("no space left")


def shown(output: io.StringIO) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", output.getvalue())


def run_trials(progress: Progress, directory: Path) -> None:
    """One that is disturbed, and then one that counts; and a goal's bounds."""
    tester = SimulatedTester(SimulatedDut(capacity_per_s=1.2e6), SimulatedClock())
    machine = SimulatedMachine(Disturbance(steal_ratio=0.5, foreign_cpu_ratio=0.0))
    with Journal(directory) as journal:
        runner = simulated_runner(tester, journal, machine=machine, progress=progress)
        progress.left(65.0)
        runner.trial(LOAD, "search")
        progress.bounds("ndr", None, None)
        progress.bounds("ndr", 1.0e6, None)
        progress.bounds("ndr", 1.0e6, None)
        progress.begins(LOAD, "search")


def test_a_pipe_gets_a_line_for_each_trial_and_each_new_bound(tmp_path: Path) -> None:
    output = io.StringIO()
    with ProgressView(output) as progress:
        run_trials(progress, tmp_path)
    first, second, bounds = shown(output).splitlines()
    assert first == "trial 1  search  1.50 Mfps  lost 300,000 (20.000%)  void: steal 50.0%, limit 1.0%"
    assert second == "trial 2  search  1.50 Mfps  lost 300,000 (20.000%)  dut_limited"
    assert bounds == "ndr: between 1.00 Mfps and ?"


def test_a_terminal_shows_the_trial_the_bounds_and_the_time_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    output = Terminal()
    with ProgressView(output, clock=lambda: 0.0) as progress:
        run_trials(progress, tmp_path)
    text = shown(output)
    assert "search: 1.50 Mfps for 1 s" in text
    assert "1 trial, 1 void" in text
    assert "about 0:01:05 left" in text
    assert "ndr: between 1.00 Mfps and ?" in text


def test_a_program_sees_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with NoProgress() as progress:
        run_trials(progress, tmp_path)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("burst", [None, 1000])
def test_an_output_that_takes_nothing_ends_no_measurement(tmp_path: Path, burst: int | None) -> None:
    with ProgressView(Full()) as progress:
        run_trials(progress, tmp_path)
        progress.begins(Load(1e6, 0.001, burst), "burst")

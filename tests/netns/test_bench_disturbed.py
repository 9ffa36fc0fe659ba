# SPDX-License-Identifier: Apache-2.0
"""Trials of the real tester: one beside a busy loop is void, and what it counts is true all the same."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from forwarder.bench.books import Books
from forwarder.bench.journal import Journal
from forwarder.bench.limits import Limits
from forwarder.bench.loopback import loopback
from forwarder.bench.no_dut import NoDut
from forwarder.bench.runner import PAUSES_S, Runner, TooNoisy
from forwarder.bench.seams import Silent
from forwarder.bench.watched import WatchedMachine
from forwarder.results.model import Trial
from forwarder.tester.open import open_tester
from forwarder.tester.traffic import Traffic
from forwarder.tester.trial import Load
from tests.support.neighbour import busy_neighbour

LOAD = Load(per_s=20_000, duration_s=0.1)


@pytest.fixture
def cpu() -> int:
    return min(os.sched_getaffinity(0))


@contextmanager
def running(directory: Path, cpu: int, limits: Limits) -> Iterator[Runner]:
    """Of the tester against itself."""
    with loopback(1500) as ends, Journal(directory) as journal:
        dut = NoDut(*ends)
        machine = WatchedMachine((cpu,), (), lambda: ())
        with closing(open_tester(*ends, Traffic(sizes="60"), cpus=(cpu,), receiving="xdp")) as tester:
            yield Runner(
                tester=tester,
                machine=machine,
                ledger=Books(dut),
                journal=journal,
                progress=Silent(),
                limits=limits,
                sleep=lambda pause_s: None,
            )


def trials(directory: Path) -> list[Trial]:
    return [Trial.model_validate_json(line) for line in (directory / "trials.jsonl").open()]


def test_a_trial_beside_a_busy_loop_is_void_and_never_handed_out(tmp_path: Path, cpu: int) -> None:
    with running(tmp_path, cpu, Limits()) as runner, busy_neighbour(cpu), pytest.raises(TooNoisy):
        runner.trial(LOAD, "search")
    made = trials(tmp_path)
    assert len(made) == len(PAUSES_S) + 1
    for trial in made:
        assert trial.verdict == "noisy"
        assert any(reason.startswith("foreign CPU time") for reason in trial.void)
        (way,) = trial.ways
        assert way.sent + way.unsent == way.intended == LOAD.per_s * LOAD.duration_s
        assert (way.lost, trial.lost.total) == (0, 0)


def test_a_trial_counts_when_noise_is_allowed(tmp_path: Path, cpu: int) -> None:
    with running(tmp_path, cpu, Limits.none()) as runner, busy_neighbour(cpu):
        trial = runner.trial(LOAD, "search")
    assert trials(tmp_path) == [trial]
    assert trial.void == ()
    assert trial.ways[0].lost == 0

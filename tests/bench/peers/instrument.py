# SPDX-License-Identifier: Apache-2.0
"""`ttfwd bench` on a running peer: its PDR, and its latency at parts of that.

To the instrument each peer is something external between `source` and `sink`, ttfwd itself too: none is
measured by what it tells of itself. The instrument is a process of its own, the one that a user would start.
It is told which processes forward, and on which CPU, so that their work isn't taken for a disturbance.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from forwarder.bench.goals import goals
from forwarder.bench.search import require_package
from forwarder.errors import ExitCode
from forwarder.results.load import load
from forwarder.results.model import Result
from forwarder.tester import native
from tests.bench.load import FORWARDER_CPU, GENERATOR_CPU
from tests.bench.peers.peer import Running, end
from tests.bench.peers.topology import SINK, SOURCE, Topology
from tests.bench.programs import ProgramError

Goal = Literal["quick", "pdr"]
LOADS_PERCENT = (50, 90)
_TRIAL_S = 1.0
_SELFTEST_TRIAL_S = 0.5
_LONGEST_SEARCH = 15  # times what its goal takes at one load
_LONGEST_S = 1800.0
_MEASURED = (ExitCode.DONE, ExitCode.NOT_PUBLISHABLE)


@dataclass(frozen=True)
class Instrument:
    """How it measures, and the folder that gets its results."""

    goal: Goal
    latency_s: float  # at each load
    allow_noise: bool  # disturbed trials count
    folder: Path

    @staticmethod
    def require() -> None:
        """Raises TtfwdError if something is missing that it needs."""
        native.load()
        require_package()

    def measure(self, topology: Topology, running: Running, name: str) -> Result:
        """Takes a minute or a few. `name`: of the result's directory. Raises ProgramError, ResultError."""
        out, profile = self.folder / name, self.folder / "profile.toml"
        profile.write_text(self._profile())
        own = (*running.pids, *running.kernel_threads)
        ends = (f"{topology.source.netns}/{SOURCE}", f"{topology.sink.netns}/{SINK}")
        _run(
            *("latency", "--external", *ends),
            *("--dut-cpus", str(FORWARDER_CPU), *(word for pid in own for word in ("--dut-pid", str(pid)))),
            *("--tester-cpus", str(GENERATOR_CPU), "--profile", str(profile), "--out", str(out), "--json"),
            *(["--allow-noise"] if self.allow_noise else []),
        )
        return load(out).result

    def _profile(self) -> str:
        (goal,) = (each for each in goals(self.goal) if each.loss_ratio > 0)
        return (
            f'goals = ["{self.goal}"]\n'
            f"max_time_s = {goal.duration_sum_s * _LONGEST_SEARCH}\n"
            f"selftest.trial_s = {_SELFTEST_TRIAL_S}\n"
            f"latency.loads_percent = {list(LOADS_PERCENT)}\n"
            f"latency.duration_s = {self.latency_s}\n"
            f"latency.trial_s = {min(_TRIAL_S, self.latency_s)}\n"
        )


def _run(*words: str) -> None:
    """Raises ProgramError."""
    command: Sequence[str] = (sys.executable, "-P", "-m", "forwarder", "bench", *words)
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            _, told = process.communicate(timeout=_LONGEST_S)
        except subprocess.TimeoutExpired:
            raise ProgramError(f"ttfwd bench: not done within {_LONGEST_S:.0f} s") from None
        finally:
            end(process)
    if process.returncode not in _MEASURED:
        raise ProgramError(f"ttfwd bench: {told.strip() or f'exit code {process.returncode}'}")

# SPDX-License-Identifier: Apache-2.0
"""What a forwarder is to the measurement, whoever wrote it: one Peer each.

Each family has a file of its own, which says how its members are started and stopped.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.bench.peers.topology import Topology
from tests.bench.programs import ProgramError

START_TIMEOUT_S = 30.0
_STOP_TIMEOUT_S = 10.0
_LOOK_S = 0.02
_TOLD_LINES = 4  # of a log, in an error


@dataclass(frozen=True)
class Running:
    """A forwarder at work, and whose CPU time is its: processes, and kernel threads of its own."""

    pids: tuple[int, ...]
    kernel_threads: tuple[int, ...] = ()


@dataclass(frozen=True)
class Peer:
    """One row of the tables. `run` raises ProgramError, DeviceError or OSError where it can't be run."""

    key: str
    title: str
    ports: Literal["tap", "veth"]
    run: Callable[[Topology], AbstractContextManager[Running]]
    polls: bool = False  # burns its CPU whatever the load
    bills_senders: bool = False  # for what comes from sockets
    carries_segments: bool = False  # between veths: what senders leave to offload arrives as it was sent


@contextmanager
def daemon(
    command: Sequence[str], log: Path, *, ready: Callable[[str], bool], env: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A program with its output in `log`, from when `ready` finds in it what it looks for to the body's end.

    Raises ProgramError, with the end of the log, if it ends early or takes too long.
    """
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT, env=env
        ) as process,
    ):
        try:
            _wait_until(lambda: ready(last_lines(log, None)), process, log)
            yield process
        finally:
            process.terminate()
            try:
                process.wait(_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait_until(condition: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not condition():
        if process.poll() is not None:
            raise ProgramError(f"exit code {process.returncode}: {last_lines(log)}")
        if time.monotonic() > deadline:
            raise ProgramError(f"not ready within {START_TIMEOUT_S:.0f} s: {last_lines(log)}")
        time.sleep(_LOOK_S)


def last_lines(log: Path, count: int | None = _TOLD_LINES) -> str:
    """The last lines of a log that say anything; None: all of them."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return "\n".join(lines if count is None else lines[-count:])

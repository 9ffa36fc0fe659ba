# SPDX-License-Identifier: Apache-2.0
"""The interface between a forwarder and the measurement: one Peer for each forwarder.

Each family of forwarders has its own file, which starts and stops its members.
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
    """A running forwarder, and the processes and kernel threads whose CPU time counts for it."""

    pids: tuple[int, ...]
    kernel_threads: tuple[int, ...] = ()


@dataclass(frozen=True)
class Peer:
    """One row of the tables. `run` raises ProgramError, DeviceError or OSError if the peer can't run."""

    key: str
    title: str
    ports: Literal["tap", "veth"]
    run: Callable[[Topology], AbstractContextManager[Running]]
    polls: bool = False  # uses its whole CPU under any load
    bills_senders: bool = False  # for frames from sockets
    carries_segments: bool = False  # between veths: GSO frames and missing checksums arrive as sent


@contextmanager
def daemon(
    command: Sequence[str], log: Path, *, ready: Callable[[str], bool], env: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program until the body's end, its output in `log`. The body begins when `ready` matches the log.

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
            end(process)


def end(process: subprocess.Popen[bytes] | subprocess.Popen[str]) -> None:
    """End it, unless it has ended. It gets a while to clean up."""
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
    """The last nonempty lines of a log. None: all of them."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return "\n".join(lines if count is None else lines[-count:])

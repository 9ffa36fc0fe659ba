# SPDX-License-Identifier: Apache-2.0
"""What is measured: ttfwd as a user starts it, and the bare loops that it is measured against.

Each is a context manager that yields a Forwarder, which knows whose CPU time counts.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from forwarder.stats import Snapshot, StatsReader, accounting
from tests.bench.lab import Lab
from tests.bench.programs import ProgramError, Programs

LEFT, RIGHT = "bench0", "bench1"
_START_TIMEOUT_S = 30.0
_STOP_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Forwarder:
    """One that runs. `instance` is ttfwd's, None for a bare loop."""

    pids: tuple[int, ...]
    instance: str | None = None


@dataclass(frozen=True)
class Ttfwd:
    """An instance between two devices."""

    driver: str
    rx_mode: str
    cpus: str
    queues: int = 1
    steering: str = "queue"
    left: str = LEFT
    right: str = RIGHT

    def config(self, name: str, netns: str) -> str:
        head = (
            f'name = "{name}"\nqueues = {self.queues}\ncpus = "{self.cpus}"\n'
            f'steering = "{self.steering}"\nrx_mode = "{self.rx_mode}"\nheartbeat_timeout_ms = 30000\n'
        )
        ports = "".join(
            f'[[port]]\nname = "{port}"\ndriver = "{self.driver}"\nnetns = "{netns}"\npeer = "{peer}"\n'
            for port, peer in ((self.left, self.right), (self.right, self.left))
        )
        return head + ports

    @contextmanager
    def started(self, lab: Lab) -> Iterator[subprocess.Popen[bytes]]:
        """The process that a user would start, from its exec on. Raises ProgramError if it doesn't end well."""
        with tempfile.TemporaryDirectory(prefix="ttfwd-bench-") as folder:
            path, log = Path(folder, "config.toml"), Path(folder, "log")
            path.write_text(self.config(lab.netns, lab.netns))
            # Not -P: a tree that is benchmarked is the one that `python -m tests.bench` was started in.
            command = [sys.executable, "-m", "forwarder.cli", "start", "-c", str(path)]
            with log.open("wb") as output:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    env={**os.environ, "TTFWD_RUNTIME_DIR": folder},
                )
            try:
                yield process
            finally:
                process.send_signal(signal.SIGTERM)
                try:
                    code = process.wait(_STOP_TIMEOUT_S)
                except subprocess.TimeoutExpired:
                    process.kill()
                    code = process.wait()
            if code != 0:
                raise ProgramError(f"ttfwd: exit code {code}\n{log.read_text(errors='replace')}")

    @contextmanager
    def run(self, lab: Lab) -> Iterator[Forwarder]:
        with self.started(lab) as process:
            snapshot = _wait_until_running(lab.netns, process)
            workers = tuple(worker.pid for worker in snapshot.workers)
            yield Forwarder((process.pid, *workers), lab.netns)


def snapshot_of(instance: str) -> Snapshot:
    with StatsReader.attach(instance) as reader:
        return reader.snapshot()


def _wait_until_running(instance: str, process: subprocess.Popen[bytes]) -> Snapshot:
    from forwarder.stats import StatsError

    deadline = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            snapshot = snapshot_of(instance)
        except StatsError:
            time.sleep(0.01)
            continue
        if snapshot.instance.state == "running":
            return snapshot
        time.sleep(0.01)
    raise ProgramError("ttfwd does not run")


@dataclass(frozen=True)
class Bare:
    """A bare loop: tap_loop.c or packet_loop.c with its options."""

    programs: Programs
    program: str
    cpu: int
    options: Sequence[object] = ()
    left: str = LEFT
    right: str = RIGHT

    @contextmanager
    def run(self, lab: Lab) -> Iterator[Forwarder]:
        arguments = ["-n", lab.netns, "-a", self.left, "-b", self.right, "-c", self.cpu, *self.options]
        with self.programs.running(self.program, arguments) as pid:
            yield Forwarder((pid,))


def check_accounts(forwarder: Forwarder, delivered_packets: int) -> None:
    """ttfwd's own counters agree with what the sink's device has. Raises ProgramError."""
    if forwarder.instance is None:
        return
    snapshot = snapshot_of(forwarder.instance)
    account = accounting(snapshot)
    if not account.closes or account.sent_packets != delivered_packets:
        raise ProgramError(
            f"ttfwd says it sent {account.sent_packets} packets, the sink has {delivered_packets}; "
            f"not explained: {account.difference_packets}"
        )

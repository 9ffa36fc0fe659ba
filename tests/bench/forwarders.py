# SPDX-License-Identifier: Apache-2.0
"""The measured forwarders: ttfwd as a user starts it, and the bare loops that it is compared with.

Each is a context manager that yields a Forwarder. It names the processes whose CPU time counts.
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

from forwarder.errors import TtfwdError
from forwarder.stats.accounting import accounting
from forwarder.stats.reader import StatsReader
from forwarder.stats.snapshot import Snapshot
from tests.bench.lab import Devices, Lab
from tests.bench.programs import ProgramError, Programs

_START_TIMEOUT_S = 30.0
_STOP_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Forwarder:
    """A running forwarder, with all processes whose CPU time counts. A bare loop has no `instance`."""

    worker_pids: tuple[int, ...]
    supervisor_pid: int | None = None
    instance: str | None = None

    @property
    def pids(self) -> tuple[int, ...]:
        return self.worker_pids if self.supervisor_pid is None else (self.supervisor_pid, *self.worker_pids)

    def snapshot(self) -> Snapshot:
        """The counters of an instance."""
        assert self.instance is not None
        return snapshot_of(self.instance)


@dataclass(frozen=True)
class Ttfwd:
    """An instance between two devices."""

    driver: str
    rx_mode: str
    cpus: str
    queues: int = 1
    steering: str = "queue"
    offload: bool = True
    ring_slots: int = 512
    python: str = sys.executable  # an interpreter that has ttfwd installed

    def _config(self, lab: Lab, devices: Devices) -> str:
        # A worker that is stopped for a while must not be taken for a hung one.
        head = (
            f'name = "{instance_name(lab, devices)}"\nqueues = {self.queues}\ncpus = "{self.cpus}"\n'
            f'steering = "{self.steering}"\nrx_mode = "{self.rx_mode}"\nheartbeat_timeout_ms = 60000\n'
            f"ring_slots = {self.ring_slots}\n"
        )
        ports = "".join(
            f'[[port]]\nname = "{port}"\ndriver = "{self.driver}"\nnetns = "{netns or lab.netns}"\n'
            f'offload = {str(self.offload).lower()}\npeer = "{peer}"\n'
            for port, netns, peer in (
                (devices.left, devices.left_netns, devices.right),
                (devices.right, devices.right_netns, devices.left),
            )
        )
        return head + ports

    @contextmanager
    def started(self, lab: Lab, devices: Devices) -> Iterator[subprocess.Popen[bytes]]:
        """The process that a user would start. Raises ProgramError if it fails."""
        with started(self._config(lab, devices), self.python) as process:
            yield process

    @contextmanager
    def run(self, lab: Lab, devices: Devices) -> Iterator[Forwarder]:
        instance = instance_name(lab, devices)
        with self.started(lab, devices) as process:
            snapshot = wait_until_running(instance, process)
            workers = tuple(worker.pid for worker in snapshot.workers)
            yield Forwarder(workers, process.pid, instance)


@contextmanager
def started(config: str, python: str = sys.executable) -> Iterator[subprocess.Popen[bytes]]:
    """`ttfwd start` with this configuration, from its exec on. Raises ProgramError if it fails."""
    with tempfile.TemporaryDirectory(prefix="ttfwd-bench-") as folder:
        path, log = Path(folder, "config.toml"), Path(folder, "log")
        path.write_text(config)
        with log.open("wb") as output:
            process = subprocess.Popen(
                [python, "-P", "-m", "forwarder", "start", "-c", str(path)],
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


def instance_name(lab: Lab, devices: Devices) -> str:
    return f"{lab.netns}-{devices.left}"


def snapshot_of(instance: str) -> Snapshot:
    with StatsReader.attach(instance) as reader:
        return reader.snapshot()


def wait_until_running(instance: str, process: subprocess.Popen[bytes]) -> Snapshot:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            snapshot = snapshot_of(instance)
        except TtfwdError:
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

    @contextmanager
    def run(self, lab: Lab, devices: Devices) -> Iterator[Forwarder]:
        arguments = ["-n", lab.netns, "-a", devices.left, "-b", devices.right, "-c", self.cpu, *self.options]
        with self.programs.running(self.program, arguments) as pid:
            yield Forwarder((pid,))


def check_accounts(forwarder: Forwarder, delivered_packets: int) -> None:
    """Check ttfwd's counters against the sink's device. Raises ProgramError."""
    if forwarder.instance is None:
        return
    snapshot = forwarder.snapshot()
    account = accounting(snapshot)
    if not account.closes or account.sent_packets != delivered_packets:
        raise ProgramError(
            f"ttfwd counts {account.sent_packets} sent packets, the sink received {delivered_packets}; "
            f"not explained: {account.difference_packets}"
        )

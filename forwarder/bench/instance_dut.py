# SPDX-License-Identifier: Apache-2.0
"""An instance of ttfwd as a device under test: one that runs already, or one that is started for this."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any, Literal

import psutil

from forwarder import drivers, rundir
from forwarder.bench.dut import Account, Cost, DutStopped, shown
from forwarder.bench.instance_ports import endpoint_of, ports_between, require_forwarding
from forwarder.config.cpus import assign, cpus_for, nameable_cpus
from forwarder.config.load import load
from forwarder.control.launch import launch
from forwarder.errors import TtfwdError, UsageError
from forwarder.results import model
from forwarder.stats.accounting import accounting
from forwarder.stats.reader import StatsReader
from forwarder.stats.snapshot import Port, Snapshot
from forwarder.tester.device_counters import read_counters
from forwarder.tester.trial import Endpoint

_REST_S = 2.0  # for packets that are on their way through the instance
_POLL_S = 0.02
_STOP_TIMEOUT_S = 75.0  # the longest drain, and then removing what it made

Ends = tuple[Endpoint, Endpoint]


class InstanceDut:
    """A running instance, seen from outside: by its shared memory and its devices."""

    kind: Literal["config", "instance"] = "instance"
    gives_reasons = True

    def __init__(self, name: str, ports: tuple[str, str] | None = None, ends: Ends | None = None) -> None:
        """Between `ports`, or the first two; `ends` are the tester's devices, where they can't be found.

        Raises NotRunning, NotPermitted, UsageError, DeviceError.
        """
        self.name = name
        self._wanted = ports
        self._ends = ends
        self._cost = Cost()
        self._attach()

    def _attach(self) -> None:
        self._reader = StatsReader.attach(rundir.the_instance(self.name, rundir.running()))
        try:
            self._seen = snapshot = self.snapshot()
            self._ports = ports_between(snapshot, self._wanted)
            self.endpoints = self._ends or (endpoint_of(self._ports[0]), endpoint_of(self._ports[1]))
            self.cpus = tuple(dict.fromkeys(worker.cpu for worker in snapshot.workers))
        except BaseException:
            self._reader.close()
            raise

    @property
    def pids(self) -> frozenset[int]:
        """The supervisor and the processes below it: workers, standbys."""
        supervisor = self._reader.snapshot().instance.supervisor_pid
        try:
            below = psutil.Process(supervisor).children(recursive=True)
        except psutil.Error:  # it has ended
            return frozenset()
        return frozenset((supervisor, *(process.pid for process in below)))

    def snapshot(self) -> Snapshot:
        """Its counters now. Raises DutStopped once it doesn't run any more."""
        snapshot = self._reader.snapshot()
        if snapshot.instance.state == "stopped" or not snapshot.instance.supervisor_pid_exists:
            raise DutStopped(self.name)
        return snapshot

    def account(self, whole: bool = True) -> Account:
        """Its account once it has come to rest. Raises DutStopped, DeviceError, TtfwdError."""
        snapshot = self._at_rest(whole)
        closing = accounting(snapshot)
        now = {port.name: port for port in snapshot.ports}
        before = after = 0
        for name in (port.name for port in self._ports):
            if name not in now:
                raise TtfwdError(f'port "{name}" of instance "{self.name}" was deleted meanwhile')
            port = now[name]
            driver = drivers.named(port.driver)
            assert driver is not None
            if driver.makes_device:
                continue  # a tap is the tester's device, too: what it drops is in the tester's books
            counted = read_counters(Endpoint(port.device_name, port.netns or None))
            after += getattr(counted, driver.dropped_after)
            before += getattr(counted, driver.dropped_before) + port.counters.kernel_drops
        return Account(
            dropped_before=before,
            dropped={
                **closing.dropped_packets,
                "lost_in_crash": closing.lost_in_crash_packets,
                "waiting": closing.waiting_packets,
            },
            dropped_after=after,
            received=closing.received_packets,
            cpu_ns=sum(worker.cpu_ns for worker in snapshot.workers),
        )

    def _at_rest(self, whole: bool) -> Snapshot:
        """The counters once none moves and every packet is accounted for, or after a while as they are.

        `whole`: with CPU time and drops of packet sockets, which a worker looks up between two slices.
        """
        deadline = time.monotonic() + _REST_S
        first = before = self.snapshot()
        while True:
            time.sleep(_POLL_S)
            now = self.snapshot()
            closing = accounting(now)
            rests = closing.closes and closing == accounting(before)
            if (rests and not (whole and _is_amid_a_slice(first, now))) or time.monotonic() > deadline:
                return now
            before = now

    def spent(self, cost: Cost) -> None:
        """CPU time of a trial. That of the one with the most packets is published."""
        self._cost = max(self._cost, cost, key=lambda each: each.packets)

    def describe(self) -> model.Dut:
        kinds = " and ".join(dict.fromkeys(port.driver_and_io for port in self._ports))
        queues = len(self._seen.workers)
        return model.Dut(
            kind=self.kind,
            title=f"ttfwd, driver {kinds}, {queues} queue{'s' if queues > 1 else ''}",
            devices=(shown(self.endpoints[0]), shown(self.endpoints[1])),
            version=self._version(),
            config=self._config(),
            cpus=self.cpus,
            cpu_ns_per_packet=self._cost.ns_per_packet,
        )

    def _version(self) -> str | None:
        return None  # its process may be older than what is installed now

    def _config(self) -> dict[str, Any]:
        """As far as its counters tell."""
        found = self._seen.instance
        return {
            "name": found.name,
            "queues": len(self._seen.workers),
            "mode": found.mode,
            "steering": found.steering,
            "rx_mode": found.rx_mode,
            "batch": found.batch,
            "ring_slots": found.ring_slots,
            "port": [_port_keys(port) for port in self._seen.ports],
        }

    def restart(self) -> None:
        raise UsageError(f'instance "{self.name}" is not ours to start anew: it runs once')

    def close(self) -> None:
        self._reader.close()


def _is_amid_a_slice(before: Snapshot, now: Snapshot) -> bool:
    """Whether a worker hasn't ended one since."""
    return any(
        worker.state == "ready" and worker.running_ns == then.running_ns
        for then, worker in zip(before.workers, now.workers, strict=True)
    )


def _port_keys(port: Port) -> dict[str, Any]:
    return {
        "name": port.name,
        "driver": port.driver,
        "io": port.io,
        "offload": bool(port.offloads),
        "netns": port.netns or None,
        "mtu": port.mtu,
        "peer": port.peer,
    }


class StartedInstance(InstanceDut):
    """An instance that is started from a configuration file, and stopped at the end."""

    kind = "config"

    def __init__(
        self,
        path: Path,
        log: Path,
        ports: tuple[str, str] | None = None,
        ends: Ends | None = None,
    ) -> None:
        """`log` gets what the instance prints. Raises ConfigError, and what the start and InstanceDut do."""
        self._path = path
        self._log = log
        self._file = load(path, nameable_cpus())
        require_forwarding(self._file.mode, len(self._file.ports), self._file.name)
        self._process = self._start()
        try:
            super().__init__(self._file.name, ports, ends)
        except BaseException:
            self._stop()
            raise

    @staticmethod
    def planned_cpus(path: Path) -> tuple[int, ...]:
        """The CPUs that its workers will have: known before it is started. Raises ConfigError."""
        config = load(path, nameable_cpus())
        return tuple(dict.fromkeys(assign(config.queues, config.cpus, cpus_for(config.cpus))))

    def _start(self) -> subprocess.Popen[bytes]:
        rundir.prepare()
        rundir.check_free(self._file.name)
        fd = os.open(self._log, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        try:
            return launch(self._path, (), fd, ends_with_us=True)
        finally:
            os.close(fd)

    def _stop(self) -> None:
        """Let it drain and remove what it made. Raises TtfwdError if it doesn't, or left something."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise TtfwdError(
                f'instance "{self._file.name}" didn\'t stop within {_STOP_TIMEOUT_S:g} s and was killed; '
                f"its next start removes what it left (log: {self._log})"
            ) from None
        if code:
            raise TtfwdError(f'instance "{self._file.name}" ended with exit code {code} (log: {self._log})')

    def restart(self) -> None:
        self._reader.close()
        self._stop()
        self._process = self._start()
        self._attach()

    def close(self) -> None:
        super().close()
        self._stop()

    def _version(self) -> str | None:
        return installed("ttfwd")

    def _config(self) -> dict[str, Any]:
        return self._file.model_dump(mode="json", by_alias=True)

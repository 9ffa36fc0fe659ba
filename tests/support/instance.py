# SPDX-License-Identifier: Apache-2.0
"""Runs a real `ttfwd start` for a test, isolated from other runs, and checks that it leaves nothing behind.

    with instance('queues = 2\\nmode = "rxonly"\\n[[port]]\\nname = "sink0"\\nnetns = "..."') as it:
        it.stats().counters.rx_packets           # a stats.snapshot.Snapshot from shared memory
        it.wait(lambda s: s.counters.rx_packets >= 10, "ten packets received")
        it.settled()                             # the snapshot once traffic stopped and the accounting closes
        it.cli("delete", "sink0")                # `ttfwd delete sink0 --name ...`, exit code 0 asserted
        final = it.stop()                        # SIGTERM; without it, the end of the block stops it

The instance's name (unless `name` is given) and its runtime directory are unique, so several test runs never
share one. When the block ends normally, these are asserted: exit code 0, no traceback in the log, the
accounting of the final snapshot closes exactly, and no process, shared memory segment, device or namespace is
left. Leftovers are then removed in any case. A failure gets the log as a note.

`it.expect_crash()` is for tests that kill the supervisor: the end then asserts nothing and removes
everything. `start_fails()` is for starts that are refused.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sysconfig
import tempfile
import time
import tomllib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from forwarder.stats.accounting import accounting
from forwarder.stats.reader import StatsReader
from forwarder.stats.snapshot import Port, Snapshot, Worker
from tests.support.commands import TIME_FACTOR, run, unique
from tests.support.netns import device_exists, namespace_exists, remove_namespace
from tests.support.shm import remove_segments, segments_of
from tests.support.wait import TIMEOUT_S, wait_until

TTFWD = Path(sysconfig.get_path("scripts"), "ttfwd")
START_TIMEOUT_S = 150.0 * TIME_FACTOR  # longer than a supervisor waits for its workers
STOP_TIMEOUT_S = 40.0 * TIME_FACTOR
# Keys for an instance: on a busy machine a healthy worker may get no CPU for seconds. A test of a worker that
# hangs asks for less.
PATIENT: dict[str, object] = {"heartbeat_timeout_ms": 60_000}


def port_of(snapshot: Snapshot, name: str) -> Port:
    return next(port for port in snapshot.ports if port.name == name)


def private_environment(directory: Path) -> dict[str, str]:
    """The environment of a ttfwd with this runtime directory."""
    return {**os.environ, "TTFWD_RUNTIME_DIR": str(directory)}


class Instance:
    """One running instance; made by instance()."""

    def __init__(
        self,
        name: str,
        config: Path,
        directory: Path,
        arguments: Sequence[str],
        environment: dict[str, str],
        prefix: Sequence[str] = (),
    ) -> None:
        """`directory`: for its output, and its runtime directory unless `environment` names another."""
        self.name = name
        self.directory = directory
        self.environment = environment
        self.final: Snapshot | None = None  # the last snapshot, once it has stopped
        self._crash_expected = False
        self._damage_expected = False
        self._reader: StatsReader | None = None
        self._absent = _Absent()  # what it will make, and must remove at its end
        for port in _ports_of(config):
            self._absent.note(port.get("netns"), port["name"])
        ready_read, ready_write = os.pipe()
        command: list[str | Path] = [*prefix, TTFWD, "start", "-c", config, "--name", name, *arguments]
        command += ["--ready-fd", str(ready_write)]
        try:
            with self._out_path.open("wb") as out, self._log_path.open("wb") as log:
                self.process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=log,
                    pass_fds=[ready_write],
                    env=environment,
                    start_new_session=True,
                )
        finally:
            os.close(ready_write)
        try:
            ready, _, _ = select.select([ready_read], [], [], START_TIMEOUT_S)
            started = bool(ready) and os.read(ready_read, 16) != b""
        finally:
            os.close(ready_read)
        if not started:
            self._remove_everything()
            raise AssertionError(f"instance {name} did not start:\n{self.log}")
        self._reader = StatsReader.attach(name)

    # ---------------------------------------------------------------------------------- looking

    @property
    def _out_path(self) -> Path:
        return self.directory / "stdout"

    @property
    def _log_path(self) -> Path:
        return self.directory / "stderr"

    @property
    def output(self) -> str:
        """What it printed on stdout: the final accounting, after stop()."""
        return self._out_path.read_text(errors="replace")

    @property
    def log(self) -> str:
        return self._log_path.read_text(errors="replace")

    def stats(self) -> Snapshot:
        """The counters now. Works while the supervisor hangs, and after stop()."""
        assert self._reader is not None
        return self._reader.snapshot()

    def port(self, name: str) -> Port:
        """A port of the counters now."""
        return port_of(self.stats(), name)

    def worker_pids(self) -> list[int]:
        return [worker.pid for worker in self.stats().workers]

    def processes(self) -> list[psutil.Process]:
        """Every process of the instance: the supervisor, its workers, and orphans of either."""
        found = []
        for process in psutil.process_iter():
            try:
                ours = process.environ().get("TTFWD_RUNTIME_DIR") == self.environment["TTFWD_RUNTIME_DIR"]
                if ours or is_worker(process, self.name):
                    found.append(process)
            except psutil.Error:
                continue  # it ended meanwhile, or is a zombie without an environment
        return found

    def supervisor_fds(self) -> int:
        """How many descriptors the supervisor has at rest: one standby, and the same number for a second.

        It has some more while it starts a process, reads a file or answers a client.
        """
        supervisor = psutil.Process(self.process.pid)
        last: deque[int | None] = deque(maxlen=10)

        def at_rest() -> bool:
            time.sleep(0.1)
            one_standby = len(self.processes()) == 2 + len(self.worker_pids())
            last.append(supervisor.num_fds() if one_standby else None)
            return len(last) == last.maxlen and len(set(last)) == 1 and one_standby

        wait_until(at_rest, "the supervisor has one standby, and the same number of descriptors for a second")
        assert last[0] is not None
        return last[0]

    def wait(
        self, condition: Callable[[Snapshot], bool], what: str, timeout_s: float = TIMEOUT_S
    ) -> Snapshot:
        """Poll the counters until they meet a condition. A failure names `what` and the accounting."""
        deadline = time.monotonic() + timeout_s
        while True:
            snapshot = self.stats()
            if condition(snapshot):
                return snapshot
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {timeout_s:g} s: {what}\n{accounting(snapshot)}")
            time.sleep(0.02)

    def settled(self, received: int = 0, quiet_s: float = 0.2, timeout_s: float = TIMEOUT_S) -> Snapshot:
        """The counters once no packet counter has moved for `quiet_s` and the accounting closes.

        A worker that gets no CPU time looks quiet too, so each worker must be asleep or have made a round of
        its loop. Packets that haven't reached a worker can't be seen: pass how many must have been received
        in all.
        """
        deadline = time.monotonic() + timeout_s
        before, since = self.stats(), time.monotonic()
        while True:
            time.sleep(0.02)
            looked = all(map(_has_looked, before.workers, self.stats().workers))
            snapshot = self.stats()
            if _packets(snapshot) != _packets(before):
                before, since = snapshot, time.monotonic()
            elif (
                looked
                and time.monotonic() - since >= quiet_s
                and accounting(snapshot).closes
                and snapshot.counters.rx_packets >= received
            ):
                return snapshot
            if time.monotonic() > deadline:
                raise AssertionError(f"does not settle in {timeout_s:g} s: {accounting(snapshot)}")

    # ----------------------------------------------------------------------------------- acting

    def cli(self, command: str, *words: str, code: int | None = 0) -> subprocess.CompletedProcess[str]:
        """`ttfwd COMMAND --name <this> WORDS...`, run to its end; asserts its exit code.

        For `connect` the port is the first word.
        """
        if command == "connect":
            netns = words[words.index("--netns") + 1] if "--netns" in words else None
            self._absent.note(netns, words[0])
        return run(TTFWD, command, "--name", self.name, *words, code=code, env=self.environment)

    def stats_json(self, *words: str) -> dict[str, Any]:
        """What `ttfwd stats --json` prints."""
        found: dict[str, Any] = json.loads(self.cli("stats", "--json", "--interval", "0.05", *words).stdout)
        return found

    def stop(self, number: signal.Signals = signal.SIGTERM) -> Snapshot:
        """Signal the supervisor if it still runs, wait for its end, and return the final snapshot."""
        if self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(STOP_TIMEOUT_S)
        self.final = self.stats()
        return self.final

    def expect_crash(self) -> None:
        """Call before the test kills the supervisor: the end asserts nothing and removes what is left."""
        self._crash_expected = True

    def expect_damage(self) -> None:
        """Call before the test spoils counters: the end asserts that the accounting says so."""
        self._damage_expected = True

    # ---------------------------------------------------------------------------------- the end

    def _assert_clean_end(self) -> None:
        final = self.stop()
        assert self.process.returncode == 0, f"exit code {self.process.returncode}"
        assert "Traceback" not in self.log
        assert final.instance.state == "stopped"
        closing = accounting(final)
        if self._damage_expected:
            assert not closing.exact
            assert not closing.closes
        else:
            assert closing.closes, f"{closing.difference_packets} packets unaccounted for: {closing}"
        assert self.processes() == []
        assert segments_of(self.name) == []
        assert self._absent.present() == []

    def _remove_everything(self) -> None:
        self.process.kill()
        for process in self.processes():
            with suppress(psutil.Error):
                process.kill()
        self.process.wait(STOP_TIMEOUT_S)
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        remove_segments(self.name)
        self._absent.remove_namespaces()


def is_worker(process: psutil.Process, instance: str) -> bool:
    """Is it a worker's process of that instance, or a standby?"""
    command = process.cmdline()
    return "forwarder.worker.main" in command and instance in command


def _packets(snapshot: Snapshot) -> tuple[Any, ...]:
    closing = accounting(snapshot)
    return closing.taken_in_packets, closing.explained_packets


def _has_looked(before: Worker, now: Worker) -> bool:
    """Has a worker polled all its queues since `before`? A sleeping worker counts: packets wake it."""
    if now.rounds >= before.rounds + 2:
        return True  # the second round began after `before`
    try:
        state = Path(f"/proc/{now.pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True  # there is none
    return state not in ("R", "D")


class _Absent:
    """Devices and namespaces that an instance will make."""

    def __init__(self) -> None:
        self._devices: list[tuple[str | None, str]] = []
        self._namespaces: list[str] = []

    def note(self, netns: str | None, device: str) -> None:
        if not device_exists(netns, device):
            self._devices.append((netns, device))
        if netns is not None and not namespace_exists(netns):
            self._namespaces.append(netns)

    def present(self) -> list[str]:
        """Those that exist now."""
        found = [f"netns {name}" for name in self._namespaces if namespace_exists(name)]
        return found + [name for netns, name in self._devices if device_exists(netns, name)]

    def remove_namespaces(self) -> None:
        for name in self._namespaces:
            remove_namespace(name)


def _ports_of(config: Path) -> list[dict[str, Any]]:
    try:
        found = tomllib.loads(config.read_text()).get("port", [])
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError):
        return []
    return [port for port in found if isinstance(port, dict) and isinstance(port.get("name"), str)]


@contextmanager
def instance(
    config: str | Path,
    *arguments: str,
    name: str | None = None,
    runtime_directory: Path | None = None,
    prefix: Sequence[str] = (),
) -> Iterator[Instance]:
    """Start an instance from TOML text or a file, with more `arguments` of `ttfwd start`. See the module.

    `prefix` is a command that runs `ttfwd` elsewhere, such as `unshare`. If that is another process, the test
    must end with `ttfwd stop`.
    """
    directory = Path(tempfile.mkdtemp(prefix="ttfwd-test-"))
    it: Instance | None = None
    try:
        path = config
        if not isinstance(path, Path):
            path = directory / "config.toml"
            path.write_text(str(config))
        environment = private_environment(runtime_directory or directory)
        it = Instance(name or unique("t"), path, directory, arguments, environment, prefix)
        try:
            yield it
            if not it._crash_expected:
                it._assert_clean_end()
        except BaseException as error:
            error.add_note(f"log of instance {it.name}:\n{it.log}")
            raise
        finally:
            it._remove_everything()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def start_fails(
    config: str | Path,
    *arguments: str,
    name: str | None = None,
    runtime_directory: Path | None = None,
    prefix: Sequence[str] = (),
) -> subprocess.CompletedProcess[str]:
    """Run a `ttfwd start` that must end by itself and leave nothing. Returns its exit code and output."""
    directory = Path(tempfile.mkdtemp(prefix="ttfwd-test-"))
    name = name or unique("t")
    try:
        path = config
        if not isinstance(path, Path):
            path = directory / "config.toml"
            path.write_text(str(config))
        absent = _Absent()
        for port in _ports_of(path):
            absent.note(port.get("netns"), port["name"])
        done = run(
            *prefix,
            TTFWD,
            "start",
            "-c",
            path,
            "--name",
            name,
            *arguments,
            code=None,
            env=private_environment(runtime_directory or directory),
        )
        assert done.returncode != 0, done.stderr
        assert "Traceback" not in done.stderr
        assert segments_of(name) == []
        assert absent.present() == []
        return done
    finally:
        shutil.rmtree(directory, ignore_errors=True)

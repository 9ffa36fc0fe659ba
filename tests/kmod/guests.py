# SPDX-License-Identifier: Apache-2.0
"""The guests that tests run in, and how they run beside all other tests. test_guest.py reports.

They start with the first test and get the CPU time that nobody else wants (SCHED_IDLE), so that tests on the
host take as long as without them. The first guest runs ttfwd's tests, alone, as ttfwd gives up on workers
that don't start in time; most of it fits into the time that the host needs. The others then have the machine.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import tempfile
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from tests.kmod import vm
from tests.kmod.kernels import ROOT, SERIES, build, of_series

_TIMEOUT_S = 2700

# What only costs an emulated CPU time: workarounds for hardware that it isn't, zeroing of each page that is
# allocated, and string instructions, which it executes byte by byte.
_FASTER = "mitigations=off init_on_alloc=0 clearcpuid=erms,fsrm,rep_good"


@dataclass(frozen=True)
class Guest:
    """A kernel, and what in_guest.sh is to run on it."""

    series: str
    tests: str
    cpus: int = 2

    @property
    def name(self) -> str:
        return f"{self.tests}-{self.series}"


# The module needs CPUs that race. ttfwd's own tests are mostly Python, faster on one emulated CPU than on
# two; they would take too long on both kernels.
OF_THE_MODULE = tuple(Guest(series, "module") for series in SERIES)
OF_TTFWD = Guest(SERIES[-1], "ttfwd", cpus=1)
ALL = (OF_TTFWD, *OF_THE_MODULE)


@dataclass(frozen=True)
class Ran:
    """How a guest ended, and the folder of the host that it left its results in."""

    result: vm.Result
    results: Path


class Guests:
    """All of them, at work in the background from when this is made. Safe to end at any time."""

    def __init__(self) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="ttfwd-guests-")
        self._running: list[vm.Running] = []
        self._ended = Event()
        self._pool = ThreadPoolExecutor(len(ALL))
        first = self._pool.submit(self._run, OF_TTFWD)
        self._ran = {OF_TTFWD: first} | {
            guest: self._pool.submit(self._run, guest, first) for guest in OF_THE_MODULE
        }

    def wait(self, guest: Guest) -> Ran:
        """Raises what kept it from running: a skip that names a missing capability, or AssertionError."""
        return self._ran[guest].result()

    def end(self) -> None:
        """Kill those that run, and remove what they left."""
        self._ended.set()
        for future in self._ran.values():
            future.cancel()
        for running in self._running:
            running.end()
        self._pool.shutdown()
        self._temporary.cleanup()

    def _run(self, guest: Guest, after: Future[Ran] | None = None) -> Ran:
        if after:
            wait([after])
        assert not self._ended.is_set(), "the tests are over"
        folder = Path(self._temporary.name, guest.name)
        results = folder / "results"
        results.mkdir(parents=True)
        kernel = of_series(guest.series)
        environment = {
            "MODULE": str(build(kernel, folder)),
            "PROGRAMS": str(_programs(folder)),
            "PYTHON": sys.executable,
            "RESULTS": str(results),
            "TESTS": guest.tests,
            "FILES": " ".join(_files_with_turbotap()) if guest is OF_TTFWD else "tests/kmod/guest",
        }
        settings = [f"{name}={value}" for name, value in environment.items()]
        script = shlex.join(["env", *settings, "sh", "tests/kmod/in_guest.sh"])
        with vm.started(
            kernel, script, cpus=guest.cpus, append=_FASTER, writable=results, background=True
        ) as running:
            self._running.append(running)
            if self._ended.is_set():
                running.end()
            return Ran(running.wait(_TIMEOUT_S), results)


def _programs(into: Path) -> Path:
    """The C programs of guest/, built in a new folder below `into`: its path."""
    folder = into / "programs"
    command = ["make", "-C", str(ROOT / "tests" / "kmod" / "guest"), f"OUT={folder}"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout
    return folder


def _files_with_turbotap() -> list[str]:
    """The files of tests that use the module: a guest takes seconds to import each file."""
    selection = ["-k", "turbotap", "tests/netns", "tests/process"]
    command = [sys.executable, "-m", "pytest", "--collect-only", "-qq", *selection]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    files = [line.partition(":")[0] for line in done.stdout.splitlines() if line.startswith("tests/")]
    return sorted(set(files))

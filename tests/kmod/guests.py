# SPDX-License-Identifier: Apache-2.0
"""The guests that tests run in, and how they run beside all other tests. test_guest.py reports.

The guest that runs ttfwd's tests starts with the first test and gets only idle CPU time (SCHED_IDLE), so it
doesn't slow down tests on the host. Its clock stops while it gets no CPU time, so it doesn't fail when it is
starved. The guests of the module have two CPUs that race, and clocks that never stop. They start when all
other tests are over. From then on every guest gets its share.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.kmod import vm
from tests.kmod.kernels import ROOT, SERIES, build, of_series

# Counted from the moment when a test waits for the guests.
_TIMEOUT_S = 2700

# Turns off features that only cost an emulated CPU time: workarounds for other hardware, zeroing of each
# allocated page, and string instructions, which it executes byte by byte.
_FASTER = "mitigations=off init_on_alloc=0 clearcpuid=erms,fsrm,rep_good"


@dataclass(frozen=True)
class Guest:
    """A kernel, and the tests that in_guest.sh runs on it."""

    series: str
    tests: str
    cpus: int = 2
    clock: vm.Clock = vm.Clock.HOST

    @property
    def name(self) -> str:
        return f"{self.tests}-{self.series}"


# ttfwd's own tests are mostly Python, faster on one emulated CPU than on two. They would take too long on
# both kernels.
OF_THE_MODULE = tuple(Guest(series, "module") for series in SERIES)
OF_TTFWD = Guest(SERIES[-1], "ttfwd", cpus=1, clock=vm.Clock.BUSY)
ALL = (OF_TTFWD, *OF_THE_MODULE)


@dataclass(frozen=True)
class Ran:
    """How a guest ended, and the host's folder with its results."""

    result: vm.Result
    results: Path


class Guests:
    """All guests. The guest of ttfwd's tests runs from the start. They can be ended at any time."""

    def __init__(self) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="ttfwd-guests-")
        self._running: list[vm.Running] = []
        self._waited_for = self._ended = False
        self._pool = ThreadPoolExecutor(len(ALL))
        self._ran = {OF_TTFWD: self._pool.submit(self._run, OF_TTFWD)}

    def wait(self, guest: Guest) -> Ran:
        """Raises the reason why it didn't run: a skip that names a missing capability, or AssertionError."""
        if not self._waited_for:
            self._waited_for = True
            for running in self._running:
                running.hurry()
            self._ran |= {other: self._pool.submit(self._run, other) for other in OF_THE_MODULE}
        try:
            return self._ran[guest].result(_TIMEOUT_S)
        except TimeoutError:
            self._end_running()
            result = self._ran[guest].result().result
            raise AssertionError(
                f"no end after {_TIMEOUT_S} s\n{result.output}\n{result.log[-8000:]}"
            ) from None

    def end(self) -> None:
        """Kill the running guests, and remove their files."""
        self._ended = True
        self._end_running()
        self._pool.shutdown(cancel_futures=True)
        self._temporary.cleanup()

    def _end_running(self) -> None:
        for running in self._running:
            running.end()

    def _started(self, running: vm.Running) -> None:
        self._running.append(running)
        if self._ended:
            running.end()

    def _run(self, guest: Guest) -> Ran:
        assert not self._ended, "the tests are over"
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
        result = vm.run(
            kernel,
            shlex.join(["env", *settings, "sh", "tests/kmod/in_guest.sh"]),
            cpus=guest.cpus,
            clock=guest.clock,
            timeout=None,
            append=_FASTER,
            writable=results,
            background=not self._waited_for,
            on_start=self._started,
        )
        return Ran(result, results)


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

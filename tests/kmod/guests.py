# SPDX-License-Identifier: Apache-2.0
"""The guests in which the kernel module is tested, run in the background while other tests run.

They start with the first test, one after the other, and get only idle CPU time (SCHED_IDLE), so they don't
slow down tests on the host. When a test waits for them, each gets its share. On a busy machine a guest may
starve until then, and its tests may fail. A guest that fails in the background runs once more, with its
share.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from tests.kmod import vm
from tests.kmod.kernels import ROOT, SERIES, Kernel, build, of_series

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

    @property
    def name(self) -> str:
        return f"{self.tests}-{self.series}"


# ttfwd's own tests are mostly Python, faster on one emulated CPU than on two. They would take too long on
# both kernels.
OF_THE_MODULE = tuple(Guest(series, "module") for series in SERIES)
OF_TTFWD = Guest(SERIES[-1], "ttfwd", cpus=1)
ALL = (OF_TTFWD, *OF_THE_MODULE)


@dataclass(frozen=True)
class Ran:
    """How a guest ended, and the host's folder with its results."""

    result: vm.Result
    results: Path

    def passed(self, guest: Guest) -> bool:
        """Did all its tests run and pass, on a kernel without faults?"""
        report = self.results / f"{guest.tests}.xml"
        return (
            self.result.status == 0
            and not self.result.faults
            and report.is_file()
            and not re.search("<(failure|error|skipped)\\b", report.read_text(encoding="utf-8"))
        )


class Guests:
    """All guests, at work in the background from when this is made. They can be ended at any time."""

    def __init__(self) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="ttfwd-guests-")
        self._running: list[vm.Running] = []
        self._waited_for, self._ended = Event(), Event()
        self._pool = ThreadPoolExecutor(len(ALL))
        first = self._pool.submit(self._run, OF_TTFWD)
        self._ran = {OF_TTFWD: first} | {
            guest: self._pool.submit(self._run, guest, first) for guest in OF_THE_MODULE
        }

    def wait(self, guest: Guest) -> Ran:
        """Raises the reason why it didn't run: a skip that names a missing capability, or AssertionError."""
        if not self._waited_for.is_set():
            self._waited_for.set()
            for running in self._running:
                running.hurry()
        try:
            return self._ran[guest].result(_TIMEOUT_S)
        except TimeoutError:
            self._ended.set()  # or a killed guest would run once more
            self._end_running()
            result = self._ran[guest].result().result
            raise AssertionError(
                f"no end after {_TIMEOUT_S} s\n{result.output}\n{result.log[-8000:]}"
            ) from None

    def end(self) -> None:
        """Kill the running guests, and remove their files."""
        self._ended.set()
        self._waited_for.set()
        self._end_running()
        self._pool.shutdown(cancel_futures=True)
        self._temporary.cleanup()

    def _end_running(self) -> None:
        for running in self._running:
            running.end()

    def _started(self, running: vm.Running) -> None:
        self._running.append(running)
        if self._ended.is_set():
            running.end()

    def _run(self, guest: Guest, after: Future[Ran] | None = None) -> Ran:
        if after:
            wait([after])
        assert not self._ended.is_set(), "the tests are over"
        folder = Path(self._temporary.name, guest.name)
        folder.mkdir()
        kernel = of_series(guest.series)
        environment = {
            "MODULE": str(build(kernel, folder)),
            "PROGRAMS": str(_programs(folder)),
            "PYTHON": sys.executable,
            "TESTS": guest.tests,
            "FILES": " ".join(_files_with_turbotap()) if guest is OF_TTFWD else "tests/kmod/guest",
        }
        in_background = not self._waited_for.is_set()
        ran = self._boot(guest, kernel, environment, folder / "results", in_background)
        if in_background and not ran.passed(guest):
            self._waited_for.wait()
            if not self._ended.is_set():
                print(f"{guest.name} failed in the background: it runs once more", file=sys.stderr)
                print(ran.result.output[-4000:], *ran.result.faults, sep="\n", file=sys.stderr)
                ran = self._boot(guest, kernel, environment, folder / "results-again", False)
        return ran

    def _boot(
        self, guest: Guest, kernel: Kernel, environment: Mapping[str, str], results: Path, background: bool
    ) -> Ran:
        results.mkdir()
        settings = [f"{name}={value}" for name, value in {**environment, "RESULTS": results}.items()]
        result = vm.run(
            kernel,
            shlex.join(["env", *settings, "sh", "tests/kmod/in_guest.sh"]),
            cpus=guest.cpus,
            timeout=None,
            append=_FASTER,
            writable=results,
            background=background,
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

# SPDX-License-Identifier: Apache-2.0
"""The guests in which the kernel module is tested. They run while other tests do, two at a time."""

from __future__ import annotations

import shlex
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Lock

from tests.kmod import vm
from tests.kmod.kernels import ROOT, SERIES, build_once, of_series

_TIMEOUT_S = 2700  # for each, from the moment when a test waits for it
_AT_ONCE = 2

# Turns off features that only cost an emulated CPU time: workarounds for other hardware, zeroing of each
# allocated page, and string instructions, which it executes byte by byte.
FASTER = "mitigations=off init_on_alloc=0 clearcpuid=erms,fsrm,rep_good"


@dataclass(frozen=True)
class Guest:
    """A kernel, and the tests that in_guest.sh runs on it, chosen by their markers."""

    series: str
    tests: str
    cpus: int = 2
    markers: str = ""

    @property
    def name(self) -> str:
        return f"{self.tests}-{self.series}"


# ttfwd's own tests are mostly Python, faster on one emulated CPU than on two. They would take too long on
# both kernels.
OF_THE_MODULE = tuple(Guest(series, "module") for series in SERIES)
OF_TTFWD = Guest(SERIES[-1], "ttfwd", cpus=1, markers="not extended")
ALL = (OF_TTFWD, *OF_THE_MODULE)


@dataclass(frozen=True)
class Ran:
    """How a guest ended, and the host's folder with its results."""

    result: vm.Result
    results: Path

    def failures(self, guest: Guest) -> list[str]:
        """The tests that failed or were skipped, with reasons. Raises AssertionError if none ran."""
        path = self.results / f"{guest.tests}.xml"
        assert path.is_file(), f"no {path.name}\n{self.result.told}"
        cases = ElementTree.parse(path).getroot().findall(".//testcase")
        assert cases, f"no test ran\n{self.result.output}"
        told = []
        for case in cases:
            for verdict in (child for child in case if child.tag in ("failure", "error", "skipped")):
                name = f"{case.get('classname')}::{case.get('name')}"
                told.append(f"{name}: {verdict.tag}: {verdict.get('message')}\n{verdict.text or ''}")
        return told


class Guests:
    """All guests, at work from when this is made. They can be ended at any time.

    `builds`: the folder of the modules.
    """

    def __init__(self, builds: Path) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="ttfwd-guests-")
        self._parts = Parts(Path(self._temporary.name), builds)
        self._running: list[vm.Running] = []
        self._ended = Event()
        self._pool = ThreadPoolExecutor(_AT_ONCE)
        self._ran = {guest: self._pool.submit(self._run, guest) for guest in ALL}

    def wait(self, guest: Guest) -> Ran:
        """Raises the reason why it didn't run: a skip that names a missing capability, or AssertionError."""
        try:
            return self._ran[guest].result(_TIMEOUT_S)
        except TimeoutError:
            self._end_running()
            result = self._ran[guest].result().result
            raise AssertionError(f"no end after {_TIMEOUT_S} s\n{result.told}") from None

    def end(self) -> None:
        """Kill the running guests, and remove their files."""
        self._ended.set()
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

    def _run(self, guest: Guest) -> Ran:
        assert not self._ended.is_set(), "the tests are over"
        folder = Path(self._temporary.name, guest.name)
        folder.mkdir()
        return boot(guest, self._parts.command(guest), folder / "results", on_start=self._started)


class Parts:
    """What guests need of the host: the module for each kernel, and the C programs. Each is built once.

    `folder`: for the programs. `builds`: for the modules.
    """

    def __init__(self, folder: Path, builds: Path) -> None:
        self._folder = folder
        self._builds = builds
        self._lock = Lock()
        self._programs: Path | None = None

    def command(self, guest: Guest) -> Mapping[str, str]:
        """The environment of in_guest.sh, without RESULTS. Raises AssertionError."""
        with self._lock:
            module = build_once(of_series(guest.series), self._builds).module
            self._programs = self._programs or _programs(self._folder)
            return {
                "MODULE": str(module),
                "PROGRAMS": str(self._programs),
                "PYTHON": sys.executable,
                "TESTS": guest.tests,
                "MARKERS": guest.markers,
                "FILES": "tests/kmod/guest" if guest.tests == "module" else " ".join(_files(guest.markers)),
            }


def boot(
    guest: Guest,
    environment: Mapping[str, str],
    results: Path,
    *,
    on_start: Callable[[vm.Running], None] = lambda running: None,
) -> Ran:
    """Run in_guest.sh in a guest, to its end. `results`: a new folder, that the guest writes to."""
    results.mkdir()
    settings = [f"{name}={value}" for name, value in {**environment, "RESULTS": results}.items()]
    result = vm.run(
        of_series(guest.series),
        shlex.join(["env", *settings, "sh", "tests/kmod/in_guest.sh"]),
        cpus=guest.cpus,
        timeout=None,
        append=FASTER,
        writable=results,
        on_start=on_start,
    )
    return Ran(result, results)


def _programs(into: Path) -> Path:
    """The C programs of guest/, built in a new folder below `into`: its path."""
    folder = into / "programs"
    command = ["make", "-C", str(ROOT / "tests" / "kmod" / "guest"), f"OUT={folder}"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout
    return folder


def _files(markers: str) -> list[str]:
    """The files of ttfwd's tests that use the module: a guest takes seconds to import each file."""
    selection = ["-k", "turbotap-", "-m", markers, "tests/netns", "tests/process"]
    command = [sys.executable, "-m", "pytest", "--collect-only", "-qq", *selection]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    files = [line.partition(":")[0] for line in done.stdout.splitlines() if line.startswith("tests/")]
    return sorted(set(files))

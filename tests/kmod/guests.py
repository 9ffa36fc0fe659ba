# SPDX-License-Identifier: Apache-2.0
"""Starts a guest for each kernel, with in_guest.sh in it. Called by conftest.py; test_guest.py reports."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.kmod import vm
from tests.kmod.kernels import ROOT, SERIES, build, of_series

# The kernel on which ttfwd's own tests run too; they would take too long on both.
WITH_TTFWD = SERIES[-1]


@dataclass(frozen=True)
class Started:
    """A guest, and the folder of the host that it leaves its results in."""

    running: vm.Running
    results: Path


def start_all(new_folder: Callable[[str], Path], stack: ExitStack) -> dict[str, Started]:
    """A guest for each series of kernels, until `stack` is unwound. `new_folder` makes one, by a name."""
    programs = new_folder("programs")
    command = ["make", "-C", str(ROOT / "tests" / "kmod" / "guest"), f"OUT={programs}"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout
    return {series: _start(series, programs, new_folder(series), stack) for series in SERIES}


def _start(series: str, programs: Path, folder: Path, stack: ExitStack) -> Started:
    kernel = of_series(series)
    results = folder / "results"
    results.mkdir()
    environment = {
        "MODULE": str(build(kernel, folder)),
        "PROGRAMS": str(programs),
        "PYTHON": sys.executable,
        "RESULTS": str(results),
        "SUITE": "yes" if series == WITH_TTFWD else "no",
    }
    settings = [f"{name}={value}" for name, value in environment.items()]
    script = shlex.join(["env", *settings, "sh", "tests/kmod/in_guest.sh"])
    guest = vm.started(kernel, script, writable=results)
    return Started(stack.enter_context(guest), results)

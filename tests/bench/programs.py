# SPDX-License-Identifier: Apache-2.0
"""The benchmark's C programs: compiled for each run, started, and stopped.

Each is a file of this folder, and its comment says what it does. A program that runs until it is killed
prints READY once it works.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
NATIVE = HERE.parents[1] / "native"
NAMES = ("generate", "packet_loop", "ring_hop", "syscalls", "tap_loop")
_FLAGS = ("-std=gnu11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", f"-I{NATIVE}")
_STOP_TIMEOUT_S = 10.0


class ProgramError(Exception):
    """A program of the benchmark, or ttfwd, failed."""


class Programs:
    """The folder of the compiled programs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @classmethod
    @contextmanager
    def compiled(cls) -> Iterator[Programs]:
        with tempfile.TemporaryDirectory(prefix="ttfwd-bench-") as folder:
            for name in NAMES:
                command = ["gcc", *_FLAGS, "-o", f"{folder}/{name}", str(HERE / f"{name}.c")]
                subprocess.run(command, check=True)
            yield cls(Path(folder))

    def command(self, name: str, arguments: Sequence[object]) -> list[str]:
        return [str(self._folder / name), *map(str, arguments)]

    def output(self, name: str, arguments: Sequence[object]) -> str:
        """Run a program to its end. Raises ProgramError."""
        done = subprocess.run(self.command(name, arguments), capture_output=True, text=True)
        if done.returncode != 0:
            raise ProgramError(f"{name}: {done.stderr.strip() or done.returncode}")
        return done.stdout

    @contextmanager
    def running(self, name: str, arguments: Sequence[object]) -> Iterator[int]:
        """Run a program that prints READY, until the body ends. Yields its pid. Raises ProgramError."""
        with subprocess.Popen(
            self.command(name, arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            try:
                assert process.stdout is not None
                assert process.stderr is not None
                if process.stdout.readline() != b"READY\n":
                    raise ProgramError(f"{name}: {process.stderr.read().decode().strip()}")
                yield process.pid
            finally:
                ended_early = process.poll() is not None
                process.kill()
                process.wait(_STOP_TIMEOUT_S)
                if ended_early and process.stderr is not None:
                    raise ProgramError(f"{name} ended early: {process.stderr.read().decode().strip()}")

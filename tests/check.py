# SPDX-License-Identifier: Apache-2.0
"""python -m tests.check: what `make check` runs once the extension is built.

These are the checks that take seconds, need no root and build no package. The steps of a lane run one after
another; the lanes run beside each other. Each step prints one line, and its output if it failed. Exit status
1 if a step failed.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROGRAMS = Path(sys.executable).parent


@dataclass(frozen=True)
class Step:
    """What is checked, and the command that does it."""

    name: str
    command: Sequence[str | Path]

    def run(self) -> bool:
        """Run it, print how it went, and return whether it passed."""
        began = time.monotonic()
        done = subprocess.run(
            self.command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        passed = done.returncode == 0
        told = f"{'ok    ' if passed else 'FAILED'}  {self.name:12} {time.monotonic() - began:5.1f} s\n"
        if not passed:
            told += f"{shlex.join(map(str, self.command))}\n{done.stdout.decode(errors='replace')}"
        sys.stdout.write(told)  # one write, as two lanes print
        sys.stdout.flush()
        return passed


_C_STYLE = 'find native tests -name "*.[ch]" | xargs clang-format-14 --dry-run -Werror'
# The tests make thousands of small files, which takes a disk as long as all that they do beside it.
_MEMORY = Path("/dev/shm")
_STATIC = (
    Step("ruff", [PROGRAMS / "ruff", "check", "."]),
    Step("ruff format", [PROGRAMS / "ruff", "format", "--check", "."]),
    Step("clang-format", ["sh", "-c", _C_STYLE]),
    Step("imports", [PROGRAMS / "lint-imports", "--no-cache"]),
    Step("mypy", [PROGRAMS / "mypy"]),
)


def main() -> int:
    with (
        tempfile.TemporaryDirectory(prefix="ttfwd-check-", dir=_MEMORY) as folder,
        ThreadPoolExecutor() as pool,
    ):
        tests = Step("unit tests", [sys.executable, "-m", "tests.unit_tests", folder])
        lanes = [(tests,), _STATIC]
        names = list(pool.map(lambda lane: [step.name for step in lane if not step.run()], lanes))
    failed = [name for lane in names for name in lane]
    if failed:
        print(f"failed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

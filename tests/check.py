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
# test_packaging.py builds packages; the fuzzer of configurations takes as long as all other tests.
_SLOW = ("tests/unit/test_packaging.py", "tests/unit/test_config_fuzz.py")
_UNIT = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--hypothesis-profile=few-examples"]
LANES = (
    (Step("unit tests", [*_UNIT, "tests/unit", *(f"--ignore={path}" for path in _SLOW)]),),
    (
        Step("ruff", [PROGRAMS / "ruff", "check", "."]),
        Step("ruff format", [PROGRAMS / "ruff", "format", "--check", "."]),
        Step("clang-format", ["sh", "-c", _C_STYLE]),
        Step("imports", [PROGRAMS / "lint-imports", "--no-cache"]),
        Step("mypy", [PROGRAMS / "mypy"]),
    ),
)


def main() -> int:
    with ThreadPoolExecutor(len(LANES)) as pool:
        lanes = list(pool.map(lambda lane: [step.name for step in lane if not step.run()], LANES))
    failed = [name for lane in lanes for name in lane]
    if failed:
        print(f"failed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

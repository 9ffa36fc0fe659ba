# SPDX-License-Identifier: Apache-2.0
"""Compiles the C programs of this folder against native/, and runs them without a preloaded sanitizer."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.support.capabilities import missing

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
NATIVE = ROOT / "native"
CFLAGS = ("-std=gnu11", "-D_GNU_SOURCE", "-O2", "-g", "-pthread", "-Wall", "-Wextra", "-Werror")

_LONGEST_S = 1000  # on a machine where others use each CPU, too, ten times as long as on a quiet one

DATAPATH = tuple(sorted(path.name for path in NATIVE.glob("*.c")))


def environment() -> dict[str, str]:
    """The environment without the sanitizer runtime that the interpreter may have preloaded."""
    return {key: value for key, value in os.environ.items() if key != "LD_PRELOAD"}


def compiler() -> str:
    found = shutil.which(os.environ.get("CC", "gcc"))
    return found or missing("a C compiler")


def build(program: str, sources: Sequence[str], into: Path, *flags: str) -> Path:
    """Compile tests/native/PROGRAM.c with these files of native/."""
    output = into / program
    files = [HERE / f"{program}.c", *(NATIVE / source for source in sources)]
    command: list[str | Path] = [
        compiler(),
        *CFLAGS,
        *flags,
        f"-I{NATIVE}",
        "-o",
        output,
        *files,
        "-lseccomp",
        "-luring",
    ]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return output


def run(command: Sequence[str | Path], **env: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the root of the tree."""
    return subprocess.run(
        command, cwd=ROOT, env={**environment(), **env}, capture_output=True, text=True, timeout=_LONGEST_S
    )

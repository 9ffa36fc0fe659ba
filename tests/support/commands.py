# SPDX-License-Identifier: Apache-2.0
"""Runs other programs, makes unique names, and says how long tests wait.

Only the standard library is imported here.
"""

from __future__ import annotations

import os
import secrets
import subprocess
from pathlib import Path
from typing import Any

# How many times slower this machine may be. On an emulated machine, Python takes 20 times as long.
TIME_FACTOR = float(os.environ.get("TTFWD_TIME_FACTOR", "1"))
COMMAND_TIMEOUT_S = 60.0 * TIME_FACTOR


def unique(prefix: str) -> str:
    """A name that no other test run on this machine uses: for namespaces and instances."""
    return f"{prefix}-{os.getpid()}-{secrets.token_hex(3)}"


def run(
    *command: str | Path, code: int | None = 0, timeout_s: float = COMMAND_TIMEOUT_S, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end and return its output. Asserts the exit code unless `code` is None."""
    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        stdin=subprocess.DEVNULL,
        **options,
    )
    if code is not None:
        assert done.returncode == code, f"{command}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
    return done


def ip(*words: str, netns: str | None = None) -> str:
    """`ip ...`, in a namespace if one is named."""
    return run("ip", *(("-n", netns) if netns else ()), *words).stdout


def in_namespace(netns: str | None, *command: str) -> list[str]:
    """The command line that runs `command` in the namespace. The process becomes the command (exec)."""
    return [*(("ip", "netns", "exec", netns) if netns else ()), *command]

# SPDX-License-Identifier: Apache-2.0
"""Runs other programs, with readable errors."""

from __future__ import annotations

import subprocess

from tests.bench.programs import ProgramError
from tests.support.commands import in_namespace


def ethtool(netns: str, device: str, feature: str, *, on: bool) -> None:
    """Raises ProgramError."""
    run(in_namespace(netns, "ethtool", "-K", device, feature, "on" if on else "off"))


def run(command: list[str], timeout_s: float = 30.0) -> str:
    """A command's output. Raises ProgramError with its message if it fails or is missing."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ProgramError(f"{' '.join(command)}: {error}") from None
    if done.returncode != 0:
        raise ProgramError(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()}")
    return done.stdout

# SPDX-License-Identifier: Apache-2.0
"""Other programs' commands, and what they say when they fail."""

from __future__ import annotations

import subprocess

from tests.bench.programs import ProgramError
from tests.support.commands import in_namespace


def ethtool(netns: str, device: str, feature: str, *, on: bool) -> None:
    """Raises ProgramError."""
    run(in_namespace(netns, "ethtool", "-K", device, feature, "on" if on else "off"))


def run(command: list[str], timeout_s: float = 30.0) -> str:
    """What a command prints. Raises ProgramError with what it says, if it fails or isn't there."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ProgramError(f"{' '.join(command)}: {error}") from None
    if done.returncode != 0:
        raise ProgramError(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()}")
    return done.stdout

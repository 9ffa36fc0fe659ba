# SPDX-License-Identifier: Apache-2.0
"""What a process that goes on has open."""

from __future__ import annotations

import os
from contextlib import suppress


def open_files(pid: int) -> dict[int, str]:
    """The number of each descriptor, and what it refers to; not those that the process closes meanwhile."""
    directory = f"/proc/{pid}/fd"
    found = {}
    for number in os.listdir(directory):
        with suppress(FileNotFoundError):
            found[int(number)] = os.readlink(f"{directory}/{number}")
    return found

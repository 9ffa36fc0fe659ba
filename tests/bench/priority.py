# SPDX-License-Identifier: Apache-2.0
"""Priority over all other processes of the machine: a generator that waits for its CPU offers no load."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_NICE = -15
# If the scheduler groups processes by session (sched(7)), nice values only compare within a session.
_GROUP = Path("/proc/self/autogroup")


@contextmanager
def raised() -> Iterator[None]:
    """During the body, this process and all its children have priority."""
    before = os.getpriority(os.PRIO_PROCESS, 0)
    group_before = _group_nice()
    os.setpriority(os.PRIO_PROCESS, 0, _NICE)
    _set_group_nice(_NICE)
    try:
        yield
    finally:
        _set_group_nice(group_before)
        os.setpriority(os.PRIO_PROCESS, 0, before)


def _group_nice() -> int:
    with suppress(OSError):
        if found := re.search(r"nice (-?\d+)", _GROUP.read_text()):
            return int(found[1])
    return 0


def _set_group_nice(nice: int) -> None:
    with suppress(OSError):  # a kernel without such groups
        _GROUP.write_text(str(nice))

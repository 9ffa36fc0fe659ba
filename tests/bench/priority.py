# SPDX-License-Identifier: Apache-2.0
"""Precedence over whatever else the machine does: a generator that must wait for its CPU would be no load."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_NICE = -15
# Where the scheduler groups processes by session (sched(7)), nice values only order those of one session.
_GROUP = Path("/proc/self/autogroup")


@contextmanager
def raised() -> Iterator[None]:
    """For the body, this process and all that it starts come first."""
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

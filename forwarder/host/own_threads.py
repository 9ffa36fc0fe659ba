# SPDX-License-Identifier: Apache-2.0
"""How long processes ran and waited: ours, and those in which the kernel handles packets."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Protocol

from forwarder.host.tree import Tree

_CPUCLOCK_SCHED = 2  # include/linux/posix-timers.h


class CpuClock(Protocol):
    def __call__(self, pid: int, /) -> int: ...


@dataclass(frozen=True, slots=True)
class Ran:
    """A process since its start."""

    cpu_ns: int  # of all its threads, those too that have ended
    living_cpu_ns: int  # of the threads that there are
    waited_ns: int | None  # they were ready to run, and something else had the CPU


@dataclass(frozen=True, slots=True)
class Spent:
    """What processes did between two moments."""

    cpu_ns: int
    waited_ns: int | None  # unknown when a thread that did much has ended: that took its figure with it


_LITTLE_NS = 10_000_000  # what a running thread's figure lags behind its process' clock: a tick
_NEW = Ran(0, 0, 0)


def process_cpu_ns(pid: int) -> int:
    """The CPU time of a process of any user. Raises OSError when there is none.

    /proc has it in ticks of 10 ms, or of living threads only. This is its CPU clock (clock_getcpuclockid()).
    """
    return time.clock_gettime_ns((~pid << 3) | _CPUCLOCK_SCHED)


def ran(tree: Tree, pids: Iterable[int], clock: CpuClock = process_cpu_ns) -> Mapping[int, Ran]:
    """By pid. A process that is gone has no entry."""
    found = {}
    for pid in pids:
        with suppress(OSError):
            cpu_ns = clock(pid)
            threads = tuple(_threads(tree, pid))
            waited_ns = sum(waited for _, waited in threads) if threads else None
            found[pid] = Ran(cpu_ns, sum(ran for ran, _ in threads), waited_ns)
    return found


def _threads(tree: Tree, pid: int) -> Iterator[tuple[int, int]]:
    """How long each thread ran and waited. None are seen where the kernel doesn't count that."""
    folder = f"/proc/{pid}/task"
    for thread in tree.names(folder):
        fields = (tree.text(f"{folder}/{thread}/schedstat") or "").split()
        if fields:  # else: it has ended meanwhile
            yield int(fields[0]), int(fields[1])


def spent(begin: Mapping[int, Ran], end: Mapping[int, Ran]) -> Spent | None:
    """What all processes together did between two moments; None when one of them has ended since.

    A process that is new began between them.
    """
    if not begin.keys() <= end.keys():
        return None
    cpu_ns, waited_ns = 0, 0
    complete = True
    for pid, now in end.items():
        then = begin.get(pid, _NEW)
        cpu_ns += now.cpu_ns - then.cpu_ns
        if now.waited_ns is None or then.waited_ns is None:
            complete = False
        else:
            waited_ns += max(0, now.waited_ns - then.waited_ns)
        of_ended_ns = (now.cpu_ns - now.living_cpu_ns) - (then.cpu_ns - then.living_cpu_ns)
        complete &= of_ended_ns <= _LITTLE_NS
    return Spent(cpu_ns, waited_ns if complete else None)


@cache
def softirq_threads(tree: Tree) -> Mapping[int, int]:
    """The pid of each CPU's ksoftirqd, which live as long as the machine. None are seen from a container."""
    found = {}
    for pid in tree.names("/proc"):
        if pid.isdigit():
            match = re.fullmatch(r"ksoftirqd/([0-9]+)", tree.text(f"/proc/{pid}/comm") or "")
            if match:
                found[int(match[1])] = int(pid)
    return found

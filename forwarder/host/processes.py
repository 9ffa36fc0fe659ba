# SPDX-License-Identifier: Apache-2.0
"""Processes of a name, and what threads took of CPUs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from forwarder.host.tree import Tree

_PROCESSOR = 36  # of /proc/PID/stat's fields behind the name: where it ran last


@dataclass(frozen=True, slots=True)
class Thread:
    name: str
    cpu: int  # where it ran last
    ran_ns: int  # since it started


def named(tree: Tree, name: str) -> tuple[int, ...] | None:
    """The pids of processes of that name; None where no process can be seen."""
    pids = tuple(_pids(tree))
    return tuple(pid for pid in pids if tree.text(f"/proc/{pid}/comm") == name) if pids else None


def threads(tree: Tree, except_pids: frozenset[int]) -> Mapping[int, Thread]:
    """Every thread of other processes, by its id."""
    found = {}
    for pid in _pids(tree):
        if pid in except_pids:
            continue
        for tid in tree.names(f"/proc/{pid}/task"):
            folder = f"/proc/{pid}/task/{tid}"
            stat = re.fullmatch(r"[0-9]+ \((.*)\) (.*)", tree.text(f"{folder}/stat") or "", re.DOTALL)
            times = (tree.text(f"{folder}/schedstat") or "").split()
            if stat and times:
                found[int(tid)] = Thread(stat[1], int(stat[2].split()[_PROCESSOR]), int(times[0]))
    return found


def busiest(
    begin: Mapping[int, Thread], end: Mapping[int, Thread], cpus: frozenset[int]
) -> tuple[tuple[str, int], ...]:
    """Names of threads that ran on these CPUs last, and how many nanoseconds they ran meanwhile, most first.

    Those that have ended are missing.
    """
    ran: dict[str, int] = {}
    for tid, thread in end.items():
        then = begin.get(tid)
        if thread.cpu in cpus:
            ran[thread.name] = ran.get(thread.name, 0) + thread.ran_ns - (then.ran_ns if then else 0)
    return tuple(sorted(((name, ns) for name, ns in ran.items() if ns), key=lambda each: -each[1]))


def _pids(tree: Tree) -> Iterator[int]:
    return (int(name) for name in tree.names("/proc") if name.isdigit())

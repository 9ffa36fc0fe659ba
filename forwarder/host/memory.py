# SPDX-License-Identifier: Apache-2.0
"""Memory: how much, in pages of which size, and what moves or merges pages behind our back."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Self

from forwarder.host.aspect import varies
from forwarder.host.finding import Case, Finding, judged, sysctl, write
from forwarder.host.tree import Tree

_THP = "/sys/kernel/mm/transparent_hugepage"
_HUGE = "/sys/kernel/mm/hugepages"
_KSM = "/sys/kernel/mm/ksm"
_BALANCING = "/proc/sys/kernel/numa_balancing"
_SHM = "/dev/shm"
_SHM_ENOUGH_BYTES = 64 << 20


@dataclass(frozen=True)
class Memory:
    huge_pages: str | None  # transparent ones: always, madvise, never
    huge_pages_shmem: str | None
    merging: bool | None  # of equal pages (KSM)
    numa_balancing: bool | None
    reserved_huge_pages: Mapping[str, int] | None  # number by size: {"2048kB": 0}
    shm_bytes: int | None  # /dev/shm
    swap_kb: int | None
    total_kb: int | None = varies()  # a hypervisor may take some back
    available_kb: int | None = varies()
    swap_free_kb: int | None = varies()
    shm_free_bytes: int | None = varies()

    @classmethod
    def read(cls, tree: Tree) -> Self:
        info = {
            match[1]: int(match[2])
            for line in tree.lines("/proc/meminfo")
            if (match := re.fullmatch(r"(\w+):\s+([0-9]+) kB", line))
        }
        merging, balancing = (
            tree.number(f"{_KSM}/run"),
            tree.number(_BALANCING),
        )
        size, free = _shm(tree)
        return cls(
            huge_pages=tree.chosen(f"{_THP}/enabled"),
            huge_pages_shmem=tree.chosen(f"{_THP}/shmem_enabled"),
            merging=None if merging is None else merging == 1,
            numa_balancing=None if balancing is None else balancing != 0,
            reserved_huge_pages={
                name.removeprefix("hugepages-"): number
                for name in tree.names(_HUGE)
                if (number := tree.number(f"{_HUGE}/{name}/nr_hugepages")) is not None
            }
            or None,
            shm_bytes=size,
            swap_kb=info.get("SwapTotal"),
            total_kb=info.get("MemTotal"),
            available_kb=info.get("MemAvailable"),
            swap_free_kb=info.get("SwapFree"),
            shm_free_bytes=free,
        )

    def findings(self, case: Case) -> Iterator[Finding]:
        yield judged(
            "huge_pages",
            "transparent huge pages",
            self.huge_pages,
            self.huge_pages in ("madvise", "never"),
            case.level("advise", "warn"),
            f"{_THP}/enabled",
            "The kernel stops a process at any time to gather memory for them.",
            *write("madvise", f"{_THP}/enabled"),
        )
        yield judged(
            "page_merging",
            "merging of equal pages",
            None if self.merging is None else "on" if self.merging else "off",
            self.merging is False,
            "warn",
            f"{_KSM}/run",
            "A kernel thread compares pages all the time. Who writes to a merged page waits for a copy.",
            *write(0, f"{_KSM}/run"),
        )
        yield judged(
            "numa_balancing",
            "NUMA balancing",
            None if self.numa_balancing is None else "on" if self.numa_balancing else "off",
            self.numa_balancing is False,
            "warn",
            _BALANCING,
            "The kernel unmaps pages to see who uses them: each costs its user a page fault.",
            *sysctl("kernel.numa_balancing", 0),
        )
        yield judged(
            "swap",
            "swap",
            None if self.swap_kb is None else f"{self.swap_kb >> 10} MiB" if self.swap_kb else "none",
            self.swap_kb == 0,
            "advise",
            "/proc/swaps",
            "A page that was swapped out costs milliseconds.",
            ("swapoff -a",),
        )
        yield judged(
            "shared_memory",
            "free shared memory",
            None if self.shm_free_bytes is None else f"{self.shm_free_bytes >> 20} MiB",
            (self.shm_free_bytes or 0) >= _SHM_ENOUGH_BYTES,
            "warn",
            _SHM,
            "An instance keeps its counters there, and doesn't start without room for them.",
            (f"mount -o remount,size=50% {_SHM}",),
        )


def _shm(tree: Tree) -> tuple[int | None, int | None]:
    """Size and free space, in bytes."""
    try:
        found = os.statvfs(tree.path(_SHM))
    except OSError:
        return None, None
    return found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize

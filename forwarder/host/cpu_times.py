# SPDX-License-Identifier: Apache-2.0
"""How long each CPU did what since the machine started: /proc/stat.

The kernel tells ticks of 10 ms. `idle` and `steal` are measured; most kernels sample the others, once a tick.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Self

from forwarder.host.tree import Tree

FILE = "/proc/stat"
TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class CpuTimes:
    user_ns: int  # with nice and guests
    system_ns: int
    idle_ns: int  # with waiting for disks
    irq_ns: int
    softirq_ns: int
    steal_ns: int  # it had work, and the hypervisor ran something else

    def since(self, then: Self) -> Self:
        return type(self)(*(getattr(self, each.name) - getattr(then, each.name) for each in fields(self)))


def cpu_times(tree: Tree) -> Mapping[int, CpuTimes]:
    """By CPU, those that are online; none where they are unknown."""
    found: dict[int, CpuTimes] = {}
    for line in tree.lines(FILE):
        match = re.fullmatch(r"cpu([0-9]+)((?: [0-9]+){8,})", line)
        if match:
            user, nice, system, idle, iowait, irq, softirq, steal = (
                int(field) * TICK_NS for field in match[2].split()[:8]
            )
            found[int(match[1])] = CpuTimes(user + nice, system, idle + iowait, irq, softirq, steal)
    return found

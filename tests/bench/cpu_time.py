# SPDX-License-Identifier: Apache-2.0
"""CPU time of processes, to the nanosecond.

Read from the kernel's CPU clock of a process (clock_getcpuclockid(3)), which is the run time of
/proc/PID/schedstat, but of all threads and exact when read. The file lags by up to a tick, one percent of a
measurement here.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path

import psutil

_CPUCLOCK_SCHED = 2  # include/linux/posix-timers_types.h; the clock's number is ~pid << 3 | 2


def process_ns(pid: int) -> int:
    return time.clock_gettime_ns(~pid << 3 | _CPUCLOCK_SCHED)


def total_ns(pids: Iterable[int]) -> int:
    return sum(process_ns(pid) for pid in pids)


def machine_ns() -> int:
    """Time for which CPUs of this machine weren't idle, up to an unknown constant; to 10 ms."""
    idle, iowait = map(int, Path("/proc/stat").read_text().split(maxsplit=6)[4:6])
    idle_ns = (idle + iowait) * 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    return time.monotonic_ns() * os.sysconf("SC_NPROCESSORS_ONLN") - idle_ns


def softirq_threads(cpus: Iterable[int]) -> tuple[int, ...]:
    """Kernel threads that may finish a forwarder's work on these CPUs."""
    names = {f"ksoftirqd/{cpu}" for cpu in cpus}
    return tuple(process.pid for process in psutil.process_iter(["name"]) if process.info["name"] in names)

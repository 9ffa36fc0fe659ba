# SPDX-License-Identifier: Apache-2.0
"""The clock that stamps frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from forwarder.host.finding import Case, Finding, judged, write
from forwarder.host.machine import CPUINFO, cpu_info
from forwarder.host.tree import Tree

# Read in nanoseconds, without a system call: the counters of CPUs, and what hypervisors offer.
_CHEAP = ("tsc", "arch_sys_counter", "kvm-clock", "hyperv_clocksource_tsc_page", "riscv_clocksource")
_SOURCE = "/sys/devices/system/clocksource/clocksource0"


@dataclass(frozen=True)
class Clock:
    source: str | None
    available: tuple[str, ...] | None
    constant_rate: bool | None  # the counter's rate doesn't change with the CPU's; only x86 tells
    runs_in_sleep: bool | None

    @classmethod
    def read(cls, tree: Tree) -> Self:
        available = tree.text(f"{_SOURCE}/available_clocksource")
        flags = cpu_info(tree).get("flags")
        return cls(
            source=tree.text(f"{_SOURCE}/current_clocksource"),
            available=None if available is None else tuple(available.split()),
            constant_rate=None if flags is None else "constant_tsc" in flags.split(),
            runs_in_sleep=None if flags is None else "nonstop_tsc" in flags.split(),
        )

    def findings(self, case: Case) -> Iterator[Finding]:
        yield judged(
            "clock_source",
            "clock source",
            self.source,
            self.source in _CHEAP,
            case.level("warn", "block"),
            f"{_SOURCE}/current_clocksource",
            "Each frame is stamped, and reading any other clock takes a microsecond and a system call. "
            "The kernel gives up a CPU's counter that isn't steady: its log says why.",
            *(
                write("tsc", f"{_SOURCE}/current_clocksource")
                if "tsc" in (self.available or ())
                else ((), ())
            ),
        )
        steady = self.constant_rate and self.runs_in_sleep
        yield judged(
            "steady_counter",
            "steady counter",
            None if steady is None else "yes" if steady else "no",
            bool(steady),
            "warn",
            CPUINFO,
            "A counter that changes its rate, or stops while the CPU sleeps, makes times wrong "
            "(flags constant_tsc, nonstop_tsc).",
        )

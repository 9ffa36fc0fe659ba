# SPDX-License-Identifier: Apache-2.0
"""Which CPUs the kernel keeps its own work and other processes away from, and which CPUs we may use."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Self

from forwarder.config.cpus import format_cpu_list, parse_cpu_list
from forwarder.host.aspect import CPU, cpus_of, varies
from forwarder.host.boot_words import FILE as BOOT_WORDS
from forwarder.host.boot_words import boot_words
from forwarder.host.finding import Case, Change, Finding, Keep, cpus_shown, judged, sysctl, write
from forwarder.host.tree import Tree

_ISOLATED = f"{CPU}/isolated"
_NOHZ_FULL = f"{CPU}/nohz_full"
_WORKQUEUE = "/sys/devices/virtual/workqueue/cpumask"
_WATCHDOG = "/proc/sys/kernel/watchdog_cpumask"
_CGROUP = "/sys/fs/cgroup"


@dataclass(frozen=True)
class Isolation:
    """CPU lists; "" is no CPU."""

    isolated: str | None  # at boot (isolcpus)
    nohz_full: str | None  # no timer tick while one thread runs
    rcu_nocbs: str | None  # RCU callbacks run elsewhere
    workqueues: str | None  # where the kernel's unbound work runs
    watchdog: str | None
    partitions: str | None = varies()  # isolated by a cpuset, since the boot
    quota: str | None = varies()  # of our control group: "150000 of 100000 us"; "" is none

    @classmethod
    def read(cls, tree: Tree) -> Self:
        return cls(
            isolated=_listed(tree.cpus(_ISOLATED)),
            nohz_full=_listed(tree.cpus(_NOHZ_FULL)),
            rcu_nocbs=_rcu_nocbs(tree),
            workqueues=_listed(tree.mask(_WORKQUEUE)),
            watchdog=_listed(tree.cpus(_WATCHDOG)),
            partitions=_listed(tree.cpus(f"{_CGROUP}/cpuset.cpus.isolated")),
            quota=_quota(tree),
        )

    def findings(self, case: Case) -> Iterator[Finding]:
        yield self._isolated(case)
        yield self._ticks(case)
        yield self._rcu(case)
        yield self._kept_away(
            case,
            "workqueues",
            "kernel's work",
            self.workqueues,
            _WORKQUEUE,
            write(_mask_text(case.others), _WORKQUEUE),
            "The kernel's unbound work (writing back, crypto, devices) runs where this mask allows.",
        )
        yield self._kept_away(
            case,
            "watchdog",
            "lockup watchdog",
            self.watchdog,
            _WATCHDOG,
            sysctl("kernel.watchdog_cpumask", format_cpu_list(case.others)),
            "The watchdog wakes a thread of the highest priority on each of these CPUs every few seconds.",
        )
        yield judged(
            "cpu_quota",
            "limit of CPU time",
            None if self.quota is None else self.quota or "none",
            not self.quota,
            "block",
            f"{_CGROUP}/.../cpu.max",
            "A process that has used up its share stands still until the period ends: tens of milliseconds.",
        )

    def _isolated(self, case: Case) -> Finding:
        known = self.isolated is not None or self.partitions is not None
        isolated = cpus_of(self.isolated) | cpus_of(self.partitions)
        return judged(
            "isolated",
            "isolated CPUs",
            (format_cpu_list(isolated) or "none") if known else None,
            case.cpus <= isolated,
            case.level("advise", "warn"),
            _ISOLATED,
            "The scheduler puts other processes onto these CPUs, and moves threads between them.",
            keep=_at_boot(case, "isolcpus=managed_irq,domain,"),
        )

    def _ticks(self, case: Case) -> Finding:
        return judged(
            "ticks",
            "CPUs without ticks",
            None if self.nohz_full is None else self.nohz_full or "none",
            case.cpus <= cpus_of(self.nohz_full),
            case.level("advise", "warn"),
            _NOHZ_FULL,
            "The timer interrupts a busy CPU 100 to 1,000 times a second, for some microseconds each.",
            keep=_at_boot(case, "nohz_full="),
        )

    def _rcu(self, case: Case) -> Finding:
        """`nohz_full` has them run elsewhere, too."""
        where = self.rcu_nocbs
        elsewhere = case.cpus if where == "all" else cpus_of(where) | cpus_of(self.nohz_full)
        return judged(
            "rcu_callbacks",
            "RCU callbacks elsewhere",
            None if where is None else where or format_cpu_list(elsewhere) or "none",
            case.cpus <= elsewhere,
            "advise",
            BOOT_WORDS,
            "The kernel frees what others have given up, in a softirq on the CPU where they gave it up.",
            keep=_at_boot(case, "rcu_nocbs="),
        )

    def _kept_away(
        self, case: Case, name: str, what: str, where: str | None, file: str, how: Change, why: str
    ) -> Finding:
        return judged(
            name,
            what,
            None if where is None else f"on {cpus_shown(cpus_of(where))}" if where else "nowhere",
            not cpus_of(where) & case.cpus,
            "advise",
            file,
            why,
            *(how if case.others else ((), ())),
        )


def _at_boot(case: Case, word: str) -> tuple[Keep, ...]:
    """The machine needs a CPU that this isn't said of."""
    return (Keep("bootloader", f"{word}{format_cpu_list(case.cpus)}"),) if case.others else ()


def _mask_text(cpus: frozenset[int]) -> str:
    """As the kernel takes it: groups of 32 bits."""
    bits = f"{sum(1 << cpu for cpu in cpus):x}"
    bits = bits.zfill(-(-len(bits) // 8) * 8) if len(bits) > 8 else bits
    return ",".join(bits[at : at + 8] for at in range(0, len(bits), 8))


def _listed(cpus: frozenset[int] | None) -> str | None:
    return None if cpus is None else format_cpu_list(cpus)


def _rcu_nocbs(tree: Tree) -> str | None:
    words = boot_words(tree)
    if words is None:
        return None
    try:
        return format_cpu_list(parse_cpu_list(words["rcu_nocbs"])) if "rcu_nocbs" in words else ""
    except ValueError:  # "all", or more of the kernel's language than a list
        return words["rcu_nocbs"]


def _quota(tree: Tree) -> str | None:
    """The tightest limit of CPU time of the control groups that we are in."""
    found: list[tuple[float, str]] = []
    known = False
    for folder in _groups(tree):
        unified = (tree.text(f"{folder}/cpu.max") or "").split()
        quota = unified[0] if unified else tree.text(f"{folder}/cpu.cfs_quota_us")
        period = unified[1] if unified else tree.text(f"{folder}/cpu.cfs_period_us")
        known |= tree.exists(f"{folder}/cgroup.procs")  # the root of all has no limit, and no file for it
        if quota is not None and period is not None and quota not in ("max", "-1"):
            found.append((int(quota) / int(period), f"{quota} of {period} us"))
    return min(found)[1] if found else "" if known else None


def _groups(tree: Tree) -> tuple[str, ...]:
    """The folders of our control groups that may limit CPU time, up to their roots."""
    folders: list[str] = []
    for line in tree.lines("/proc/self/cgroup"):
        match = re.fullmatch(r"([0-9]+):([^:]*):(/.*)", line)
        if match and (match[1] == "0" or "cpu" in match[2].split(",")):
            root = _CGROUP if match[1] == "0" else f"{_CGROUP}/cpu"
            group = PurePosixPath(match[3])
            folders += [f"{root}{each}".rstrip("/") for each in (group, *group.parents)]
    return tuple(folders)

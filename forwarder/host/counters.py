# SPDX-License-Identifier: Apache-2.0
"""Counters of the host at one moment, and what they counted between two."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from forwarder.host.aspect import CPU, online
from forwarder.host.cpu_times import cpu_times
from forwarder.host.interrupts import FILE, irq_names
from forwarder.host.tree import Tree

# A counter's value by its name, or by the CPU and its name.
Counted = Mapping[str, int]
CpuCounted = Mapping[int, Counted]

_PRESSURES = ("cpu", "io", "irq", "memory")
_SOFTNET = {0: "processed", 1: "dropped", 2: "squeezed", 9: "rps"}  # columns of softnet_stat
_SOFTNET_CPU = 12


@dataclass(frozen=True)
class Counters:
    at_ns: int  # CLOCK_MONOTONIC
    cpu_ns: CpuCounted  # "user", "system", "idle", "irq", "softirq", "steal"
    interrupts: CpuCounted  # by number and device, or the kernel's three letters
    softirqs: CpuCounted
    softnet: CpuCounted  # frames: processed, dropped as the backlog was full; times that the budget ran out
    waited_ns: CpuCounted  # threads, for this CPU: "waited"
    throttled: CpuCounted  # by heat, times: "core", "package"
    pressure_us: Counted  # somebody waited for it: "cpu_some", "io_full", ...
    context_switches: int | None

    @classmethod
    def now(cls, tree: Tree) -> Counters:
        return cls(
            at_ns=time.monotonic_ns(),
            cpu_ns={
                cpu: {
                    "user": times.user_ns,
                    "system": times.system_ns,
                    "idle": times.idle_ns,
                    "irq": times.irq_ns,
                    "softirq": times.softirq_ns,
                    "steal": times.steal_ns,
                }
                for cpu, times in cpu_times(tree).items()
            },
            interrupts=_interrupts(tree),
            softirqs=_columns(tree, "/proc/softirqs"),
            softnet=_softnet(tree),
            waited_ns=_waited_ns(tree),
            throttled=_throttled(tree),
            pressure_us=pressure_us(tree, *_PRESSURES),
            context_switches=_context_switches(tree),
        )


def delta(begin: Counters, end: Counters, cpus: frozenset[int]) -> dict[str, Any]:
    """What was counted on these CPUs, and on the machine. What counted nothing is left out."""

    def on(begin_of: CpuCounted, end_of: CpuCounted) -> dict[str, dict[str, int]]:
        both = sorted(cpus & begin_of.keys() & end_of.keys())
        found = {str(cpu): counted(begin_of[cpu], end_of[cpu]) for cpu in both}
        return {cpu: values for cpu, values in found.items() if values}

    switches = (
        None
        if begin.context_switches is None or end.context_switches is None
        else (end.context_switches - begin.context_switches)
    )
    return {
        "duration_ns": end.at_ns - begin.at_ns,
        "cpu_ns": on(begin.cpu_ns, end.cpu_ns),
        "interrupts": on(begin.interrupts, end.interrupts),
        "softirqs": on(begin.softirqs, end.softirqs),
        "softnet": on(begin.softnet, end.softnet),
        "waited_ns": on(begin.waited_ns, end.waited_ns),
        "throttled": on(begin.throttled, end.throttled),
        "pressure_us": counted(begin.pressure_us, end.pressure_us),
        "context_switches": switches,
    }


def counted(begin: Counted, end: Counted) -> dict[str, int]:
    """The counters that moved. One that is new began at 0."""
    moved = {name: value - begin.get(name, 0) for name, value in end.items()}
    return {name: value for name, value in moved.items() if value}


def _columns(tree: Tree, file: str) -> CpuCounted:
    """A table with a row for each counter and a column for each CPU."""
    head, *rows = tree.lines(file) or ("",)
    cpus = [int(name.removeprefix("CPU")) for name in head.split()]
    found: dict[int, dict[str, int]] = {cpu: {} for cpu in cpus}
    for row in rows:
        name, _, rest = row.partition(":")
        values = rest.split()[: len(cpus)]
        if len(values) == len(cpus) and all(value.isdigit() for value in values):  # else: of no CPU, as ERR
            for cpu, value in zip(cpus, values, strict=True):
                found[cpu][name.strip()] = int(value)
    return found


def _interrupts(tree: Tree) -> CpuCounted:
    names = irq_names(tree)
    return {
        cpu: {f"{irq} {names[irq]}" if irq.isdigit() else irq: value for irq, value in values.items()}
        for cpu, values in _columns(tree, FILE).items()
    }


def _softnet(tree: Tree) -> CpuCounted:
    """A row is the next CPU's that is online, unless it says whose it is (since Linux 5.10)."""
    found = {}
    for cpu, row in zip(sorted(online(tree)), tree.lines("/proc/net/softnet_stat"), strict=False):
        values = [int(value, 16) for value in re.findall(r"\b[0-9a-f]{8}\b", row)]
        whose = values[_SOFTNET_CPU] if len(values) > _SOFTNET_CPU else cpu
        found[whose] = {name: values[column] for column, name in _SOFTNET.items() if column < len(values)}
    return found


def _waited_ns(tree: Tree) -> CpuCounted:
    found = {}
    for line in tree.lines("/proc/schedstat"):
        match = re.fullmatch(r"cpu([0-9]+) (.*)", line)
        if match:
            found[int(match[1])] = {"waited": int(match[2].split()[7])}
    return found


def _throttled(tree: Tree) -> CpuCounted:
    found = {}
    for cpu in online(tree):
        folder = f"{CPU}/cpu{cpu}/thermal_throttle"
        counts = {what: tree.number(f"{folder}/{what}_throttle_count") for what in ("core", "package")}
        found[cpu] = {what: count for what, count in counts.items() if count is not None}
    return {cpu: counts for cpu, counts in found.items() if counts}


def pressure_us(tree: Tree, *resources: str) -> Counted:
    found = {}
    for what in resources:
        for line in tree.lines(f"/proc/pressure/{what}"):
            match = re.search(r"^(some|full) .*total=([0-9]+)", line)
            if match:
                found[f"{what}_{match[1]}"] = int(match[2])
    return found


def _context_switches(tree: Tree) -> int | None:
    found = re.search(r"^ctxt ([0-9]+)$", tree.text("/proc/stat") or "", re.MULTILINE)
    return int(found[1]) if found else None

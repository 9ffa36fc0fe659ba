# SPDX-License-Identifier: Apache-2.0
"""What the machine did to a trial: CPU time of others, stolen time, waiting. A sample before, a sample after.

The CPU time of others is what remains of the CPUs' busy time after that of our own processes. What is unclear
about it are interrupts. Packets are handled in softirqs, mostly in our own system calls, so they are never
others' work. A kernel that measures them (CONFIG_IRQ_TIME_ACCOUNTING) counts them for no thread: they are
subtracted. Any other kernel counts them for the thread that they interrupt, and only samples them, so the
truth is between "all of them were in our threads" and "none was". Others can't have cost us more than our
threads waited for a CPU, so that decides, where it is known. ksoftirqd is a softirq, too.

Our processes must run on the CPUs that are watched, and nowhere else.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from forwarder.host.counters import pressure_us
from forwarder.host.cpu_times import CpuTimes, cpu_times
from forwarder.host.own_threads import CpuClock, Ran, Spent, process_cpu_ns, ran, softirq_threads, spent
from forwarder.host.tree import HOST, Tree
from forwarder.results.model import Disturbance

# Interrupts that are measured take at least this part of the busy time: the timer's alone do. A kernel that
# samples them sees next to none, since a tick is an interrupt itself.
_MEASURED_IRQ_RATIO = 1e-4


@dataclass(frozen=True, slots=True)
class _Sample:
    at_ns: int
    cpus: Mapping[int, CpuTimes]
    ours: Mapping[int, Ran]
    ksoftirqd_ns: int  # CPU time of those of our CPUs
    pressure_us: int | None  # somebody, anywhere, waited for a CPU


class Watch:
    """Watches CPUs from its making to end(). `pids` are our own processes: DUT and tester."""

    def __init__(
        self,
        cpus: Collection[int],
        pids: Collection[int],
        tree: Tree = HOST,
        cpu_clock: CpuClock = process_cpu_ns,
        now_ns: int | None = None,
    ) -> None:
        self._cpus = frozenset(cpus)
        self._pids = frozenset(pids)
        self._tree = tree
        self._cpu_clock = cpu_clock
        self._begin = self._sample(self._pids, now_ns)

    def end(self, started: Collection[int] = (), now_ns: int | None = None) -> Disturbance:
        """What happened since. `started` are processes of ours that have started since.

        What is unknown is None. The CPU time of others is when a process of ours has ended since, as nobody
        knows what that took.
        """
        begin, end = self._begin, self._sample(self._pids | set(started), now_ns)
        duration_ns = end.at_ns - begin.at_ns
        ours = spent(begin.ours, end.ours)
        foreign_ns = softirq_ns = steal_ns = pressure_ns = None
        if self._cpus and self._cpus <= begin.cpus.keys() & end.cpus.keys():
            cpus = [end.cpus[cpu].since(begin.cpus[cpu]) for cpu in self._cpus]
            steal_ns = max(cpu.steal_ns for cpu in cpus)
            softirq_ns = sum(cpu.irq_ns + cpu.softirq_ns for cpu in cpus)
            if ours is not None:
                busy_ns = sum(duration_ns - cpu.idle_ns - cpu.steal_ns for cpu in cpus)
                ksoftirqd_ns = end.ksoftirqd_ns - begin.ksoftirqd_ns
                foreign_ns = _foreign_ns(busy_ns, ours, softirq_ns, ksoftirqd_ns, _measures_irqs(end))
        if begin.pressure_us is not None and end.pressure_us is not None:
            pressure_ns = (end.pressure_us - begin.pressure_us) * 1000
        return Disturbance(
            foreign_cpu_ratio=_ratio(foreign_ns, duration_ns),
            softirq_ratio=_ratio(softirq_ns, duration_ns),
            steal_ratio=_ratio(steal_ns, duration_ns),
            wait_ratio=_ratio(ours.waited_ns if ours else None, duration_ns),
            cpu_pressure_ratio=_ratio(pressure_ns, duration_ns),
        )

    def _sample(self, pids: Collection[int], now_ns: int | None) -> _Sample:
        ksoftirqd = [pid for cpu, pid in softirq_threads(self._tree).items() if cpu in self._cpus]
        return _Sample(
            time.monotonic_ns() if now_ns is None else now_ns,
            cpu_times(self._tree),
            ran(self._tree, pids, self._cpu_clock),
            sum(each.cpu_ns for each in ran(self._tree, ksoftirqd, self._cpu_clock).values()),
            pressure_us(self._tree, "cpu").get("cpu_some"),
        )


def _foreign_ns(
    busy_ns: int, ours: Spent, softirq_ns: int, ksoftirqd_ns: int, irqs_are_measured: bool
) -> int:
    others_ns = busy_ns - ours.cpu_ns
    least_ns = max(0, others_ns - softirq_ns)
    most_ns = max(0, others_ns - ksoftirqd_ns)
    if irqs_are_measured:
        return least_ns
    if ours.waited_ns is None:
        return most_ns
    return min(most_ns, max(least_ns, ours.waited_ns))


def _measures_irqs(sample: _Sample) -> bool:
    """Does this kernel measure the time of interrupts, and leave it out of that of threads?"""
    irq_ns = sum(cpu.irq_ns for cpu in sample.cpus.values())
    return irq_ns > _MEASURED_IRQ_RATIO * sum(cpu.user_ns + cpu.system_ns for cpu in sample.cpus.values())


def _ratio(part_ns: int | None, whole_ns: int) -> float | None:
    return None if part_ns is None or whole_ns <= 0 else max(0, part_ns) / whole_ns

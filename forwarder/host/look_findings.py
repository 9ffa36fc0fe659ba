# SPDX-License-Identifier: Apache-2.0
"""What a second's look at the CPUs means for a measurement on them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from forwarder.config.cpus import format_cpu_list
from forwarder.host.counters import Counters, CpuCounted, counted
from forwarder.host.finding import Case, Finding, Level, cpus_shown, judged, sysctl
from forwarder.host.look import Look
from forwarder.host.noise import GAP_NS
from forwarder.stats.figures import percent

_SOME = 0.001  # the part of the time from which the highest thousandth of latencies is the machine's
_MUCH = 0.01
_FOREIGN_SOME, _FOREIGN_MUCH = 0.01, 0.05  # beyond the latter, `bench` counts no trial
_OFTEN_PER_S = 100


@dataclass(frozen=True)
class LookFindings:
    look: Look
    case: Case
    virtual: bool | None  # the machine is

    def all(self) -> Iterator[Finding]:
        yield self._noise()
        yield self._steal()
        yield self._neighbours()
        yield self._interrupts()
        yield self._heat()
        yield self._backlog()

    def _noise(self) -> Finding:
        heard = self.look.noise or {}
        ratio = max((noise.lost_ratio for noise in heard.values()), default=0.0)
        gaps = max((noise.gaps_per_s for noise in heard.values()), default=0.0)
        longest_us = max((noise.longest_ns for noise in heard.values()), default=0) / 1000
        level: Level = "advise"
        if ratio > _SOME:
            level = self.case.level("block" if ratio > _MUCH else "warn", "block")
        return judged(
            "noise",
            "interruptions",
            f"{gaps:.0f} a second, {_percent(ratio)} of the time, longest {longest_us:,.0f} us"
            if heard
            else None,
            gaps == 0,
            level,
            f"a loop of 1 s on {cpus_shown(self.case.cpus)}",
            f"A loop that only reads the clock stood still for over {GAP_NS // 1000} us, as a worker will: "
            "for other threads, interrupts, ticks or the hypervisor.",
        )

    def _steal(self) -> Finding:
        """A hypervisor may not tell. One that never stole anything hasn't told."""
        ratio = self.look.disturbance.steal_ratio
        ever = any(times["steal"] for times in self.look.end.cpu_ns.values())
        return judged(
            "steal",
            "time stolen",
            None if ratio is None or (self.virtual and not ever) else _percent(ratio),
            (ratio or 0.0) <= _SOME,
            "block" if (ratio or 0.0) > _MUCH else "warn",
            "/proc/stat",
            "The hypervisor ran something else on a CPU that had work. Nothing in here changes that: ask for "
            "CPUs that nobody else has, or measure when the neighbours sleep.",
        )

    def _neighbours(self) -> Finding:
        ratio = self.look.disturbance.foreign_cpu_ratio
        most = self.look.neighbours[:3] if ratio and ratio > _FOREIGN_SOME else ()
        names = ", ".join(f"{name} {_percent(ns / 1e9 / self.look.duration_s)}" for name, ns in most)
        return judged(
            "neighbours",
            "others' CPU time",
            None if ratio is None else _percent(ratio) + (f" ({names})" if names else ""),
            (ratio or 0.0) <= _FOREIGN_SOME,
            "block" if (ratio or 0.0) > _FOREIGN_MUCH else "warn",
            "/proc/stat, /proc/*/task/*/schedstat",
            f"Others' processes run on these CPUs. Beyond {_percent(_FOREIGN_MUCH)}, `bench` counts no "
            "trial. Stop them, or keep them away (`taskset`, a cpuset, isolation).",
        )

    def _interrupts(self) -> Finding:
        """All but the timer's, which `ticks` is about, and those of the devices that are measured."""
        arrived: dict[str, float] = {}
        for cpu in self.case.cpus & self.look.begin.interrupts.keys() & self.look.end.interrupts.keys():
            for name, times in counted(
                self.look.begin.interrupts[cpu], self.look.end.interrupts[cpu]
            ).items():
                if name != "LOC" and name.split()[0] not in self.case.interrupts:
                    arrived[name] = arrived.get(name, 0.0) + times / self.look.duration_s
        rate = sum(arrived.values())
        most = sorted(arrived, key=lambda name: -arrived[name])
        numbers = [name.split()[0] for name in most if name[0].isdigit()]
        others = format_cpu_list(self.case.others)
        return judged(
            "interrupts",
            "interrupts",
            (f"{rate:.0f} a second" + "".join(f", {name} {arrived[name]:.0f}" for name in most[:3]))
            if self.look.end.interrupts
            else None,
            rate < 1,
            "warn" if rate >= _OFTEN_PER_S else "advise",
            "/proc/interrupts",
            "Each takes some microseconds. RES, CAL and TLB come from other CPUs, on behalf of threads that "
            "run here; the numbered ones are devices'.",
            tuple(f"echo {others} > /proc/irq/{number}/smp_affinity_list" for number in numbers)
            if others
            else (),
        )

    def _heat(self) -> Finding:
        now = _total(self.look.end.throttled, self.case.cpus)
        before = _total(self.look.begin.throttled, self.case.cpus)
        return judged(
            "heat",
            "throttled by heat",
            f"{now} times since the start, {now - before} in this second"
            if self.look.end.throttled
            else None,
            now == 0,
            "block" if now > before else "advise",
            "/sys/devices/system/cpu/cpu*/thermal_throttle/*_throttle_count",
            "A CPU that gets too hot slows down, and the figure with it. Cool it, or lower its clock rate.",
        )

    def _backlog(self) -> Finding:
        """Of all CPUs: a frame is queued where it was received."""
        end: Counters = self.look.end
        dropped = sum(counts.get("dropped", 0) for counts in end.softnet.values())
        squeezed = sum(counts.get("squeezed", 0) for counts in end.softnet.values())
        return judged(
            "backlog",
            "kernel's backlog",
            f"{dropped} frames dropped, {squeezed} times out of budget, since the start"
            if end.softnet
            else None,
            dropped == 0,
            "advise",
            "/proc/net/softnet_stat",
            "A CPU that receives from a veth or a tap queues frames here, and drops those beyond the limit.",
            *sysctl("net.core.netdev_max_backlog", 10000),
        )


def _percent(ratio: float) -> str:
    return percent(100 * ratio)


def _total(counts: CpuCounted, cpus: frozenset[int]) -> int:
    return sum(sum(counts[cpu].values()) for cpu in cpus & counts.keys())

# SPDX-License-Identifier: Apache-2.0
"""Clock rates and sleep states of the CPUs."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Self

from forwarder.config.cpus import format_cpu_list
from forwarder.host.aspect import CPU, PerCpu, cpus_of, each_cpu, of_cpus, online, per_cpu, varies
from forwarder.host.finding import Case, Finding, Keep, each_shown, judged, write
from forwarder.host.tree import Tree

_NO_TURBO = f"{CPU}/intel_pstate/no_turbo"
_BOOST = f"{CPU}/cpufreq/boost"
_DMA_LATENCY = "/dev/cpu_dma_latency"


@dataclass(frozen=True)
class IdleState:
    """A sleep state of a CPU. State 0 isn't one: it polls, or only halts."""

    name: str
    latency_us: int | None  # to leave it
    enabled: str  # CPUs


@dataclass(frozen=True)
class Power:
    driver: PerCpu | None  # that sets the clock rate
    governor: PerCpu | None
    preference: PerCpu | None  # of a CPU that sets it itself (EPP)
    min_khz: PerCpu | None
    max_khz: PerCpu | None
    turbo: bool | None
    idle_driver: str | None
    idle_states: Mapping[str, IdleState] | None
    resume_limit_us: PerCpu | None  # of one CPU, as below: "n/a" is 0, "0" is no limit
    # No state that takes longer to leave is entered, as somebody asked for. Held while a measurement runs.
    latency_limit_us: int | None = varies()

    @classmethod
    def read(cls, tree: Tree) -> Self:
        return cls(
            driver=each_cpu(tree, "cpufreq/scaling_driver"),
            governor=each_cpu(tree, "cpufreq/scaling_governor"),
            preference=each_cpu(tree, "cpufreq/energy_performance_preference"),
            min_khz=each_cpu(tree, "cpufreq/scaling_min_freq"),
            max_khz=each_cpu(tree, "cpufreq/scaling_max_freq"),
            turbo=_read_turbo(tree),
            idle_driver=tree.text(f"{CPU}/cpuidle/current_driver"),
            idle_states=_read_idle_states(tree),
            resume_limit_us=each_cpu(tree, "power/pm_qos_resume_latency_us"),
            latency_limit_us=_latency_limit_us(tree),
        )

    def findings(self, case: Case) -> Iterator[Finding]:
        yield self._of_each_cpu(
            case,
            "governor",
            "clock rate",
            self.governor,
            "scaling_governor",
            "The clock rate follows the load with delay, so a rate that is passed once fails the next time.",
        )
        yield self._of_each_cpu(
            case,
            "preference",
            "energy preference",
            self.preference,
            "energy_performance_preference",
            "The CPU itself chooses lower clock rates to save energy.",
        )
        yield self._turbo(case)
        yield self._idle_states(case)

    def _of_each_cpu(
        self, case: Case, name: str, what: str, values: PerCpu | None, file: str, why: str
    ) -> Finding:
        here = of_cpus(values or {}, case.cpus)
        wrong = sorted(cpu for value, cpus in here.items() if value != "performance" for cpu in cpus)
        commands, keep = write("performance", *(f"{CPU}/cpu{cpu}/cpufreq/{file}" for cpu in wrong))
        return judged(
            name,
            what,
            each_shown(here) or None,
            not wrong,
            "warn",
            f"{CPU}/cpu*/cpufreq/{file}",
            why,
            commands,
            (Keep("cpu", "governor=performance"),) if name == "governor" else keep,
        )

    def _turbo(self, case: Case) -> Finding:
        intel = any(driver.startswith("intel") for driver in self.driver or ())
        file, off = (_NO_TURBO, 1) if intel else (_BOOST, 0)
        commands, _ = write(off, file)
        # tuned's profile cpu-partitioning changes the driver and so the file. tuned skips what isn't there.
        keep = write(1, _NO_TURBO)[1] + write(0, _BOOST)[1]
        return judged(
            "turbo",
            "turbo",
            None if self.turbo is None else "on" if self.turbo else "off",
            self.turbo is False,
            "warn",
            file,
            "The clock rate depends on the temperature and on what the other cores do. "
            "A figure with turbo isn't found again.",
            commands,
            keep,
        )

    def _idle_states(self, case: Case) -> Finding:
        """The states that a CPU of the case enters: enabled, and no longer than anybody allows."""
        free = {
            cpu: limit
            for text, cpus in of_cpus(
                self.resume_limit_us or {"0": format_cpu_list(case.cpus)}, case.cpus
            ).items()
            if (limit := _resume_limit_us(text, self.latency_limit_us)) > 0
            for cpu in cpus
        }
        found: dict[str, frozenset[int]] = {}
        for state in (self.idle_states or {}).values():
            cpus = frozenset(
                cpu for cpu, limit in free.items() if 0 < (state.latency_us or 0) <= limit
            ) & cpus_of(state.enabled)
            if cpus:
                found[f"{state.name} ({state.latency_us} us)"] = cpus
        sleepy = sorted(frozenset().union(*found.values()))
        commands, keep = write("n/a", *(f"{CPU}/cpu{cpu}/power/pm_qos_resume_latency_us" for cpu in sleepy))
        return judged(
            "idle_states",
            "sleep states",
            None if self.idle_states is None else each_shown(found) or "none is entered",
            not found,
            case.level("advise", "warn"),
            f"{CPU}/cpu*/cpuidle/state*/latency",
            "A CPU that sleeps takes this long to wake up for a packet. One that polls never sleeps.",
            commands,
            keep,
        )


def _read_turbo(tree: Tree) -> bool | None:
    no_turbo, boost = tree.number(_NO_TURBO), tree.number(_BOOST)
    if no_turbo is not None:
        return no_turbo == 0
    return None if boost is None else boost == 1


def _read_idle_states(tree: Tree) -> Mapping[str, IdleState] | None:
    cpus = online(tree)
    found = {}
    for state in sorted({state for cpu in cpus for state in tree.names(f"{CPU}/cpu{cpu}/cpuidle")}):
        folders = {cpu: f"{CPU}/cpu{cpu}/cpuidle/{state}" for cpu in cpus}
        some = folders[min(cpus)]
        enabled = per_cpu({cpu: tree.text(f"{folder}/disable") for cpu, folder in folders.items()}) or {}
        found[state] = IdleState(
            name=tree.text(f"{some}/name") or state,
            latency_us=tree.number(f"{some}/latency"),
            enabled=enabled.get("0", ""),
        )
    return found or None


def _latency_limit_us(tree: Tree) -> int | None:
    """The kernel tells four bytes to root, and takes no opinion of one who only reads."""
    try:
        data = tree.path(_DMA_LATENCY).read_bytes()[:4]
    except OSError:
        return None
    return int(struct.unpack("=i", data)[0]) if len(data) == 4 else None


def _resume_limit_us(of_cpu: str, of_all_us: int | None) -> float:
    """What both allow; infinite for no limit."""
    own = 0 if of_cpu == "n/a" else (int(of_cpu) if of_cpu.isdigit() else 0) or math.inf
    return min(own, math.inf if of_all_us is None else of_all_us)

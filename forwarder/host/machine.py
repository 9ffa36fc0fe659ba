# SPDX-License-Identifier: Apache-2.0
"""The machine: its model, its CPUs and how they belong together, what it is protected against."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Self

from forwarder.config.cpus import format_cpu_list
from forwarder.host.aspect import CPU, PerCpu, cpus_of, each_cpu, of_cpus, online
from forwarder.host.finding import Case, Finding, Keep, cpus_shown, each_shown, judged, write
from forwarder.host.tree import Tree

CPUINFO = "/proc/cpuinfo"
_DMI = "/sys/class/dmi/id"
_NODE = "/sys/devices/system/node"
_VULNERABILITIES = f"{CPU}/vulnerabilities"


@dataclass(frozen=True)
class Machine:
    model: str | None
    microcode: str | None
    product: str | None  # of the whole machine
    bios: str | None
    virtual: bool | None  # it runs under a hypervisor
    online: str  # CPUs
    cores: tuple[str, ...] | None  # the CPUs that share one, for each core with more than one
    nodes: PerCpu | None  # NUMA
    distances: Mapping[str, str] | None  # from a node to each
    mitigations: Mapping[str, str] | None

    @classmethod
    def read(cls, tree: Tree) -> Self:
        info = cpu_info(tree)
        return cls(
            model=info.get("model name") or tree.text("/sys/firmware/devicetree/base/model"),
            microcode=info.get("microcode"),
            product=tree.text(f"{_DMI}/product_name"),
            bios=tree.text(f"{_DMI}/bios_version"),
            virtual=_virtual(tree, info),
            online=format_cpu_list(online(tree)),
            cores=_cores(tree),
            nodes=_nodes(tree),
            distances={
                name.removeprefix("node"): text
                for name in tree.names(_NODE)
                if (text := tree.text(f"{_NODE}/{name}/distance")) is not None
            }
            or None,
            mitigations={
                name: tree.text(f"{_VULNERABILITIES}/{name}") or "" for name in tree.names(_VULNERABILITIES)
            }
            or None,
        )

    def findings(self, case: Case) -> Iterator[Finding]:
        yield judged(
            "virtual_machine",
            "virtual machine",
            None if self.virtual is None else "yes" if self.virtual else "no",
            self.virtual is False,
            "warn",
            CPUINFO,
            "The hypervisor takes CPUs away for a while, and hides the clock rate. Counts and medians hold; "
            "the highest rate without loss and the tails of latency are the hypervisor's.",
        )
        yield self._spare_cpus(case)
        yield self._shared_cores(case)
        yield self._nodes_used(case)
        yield self._mitigations()

    def _spare_cpus(self, case: Case) -> Finding:
        return judged(
            "spare_cpus",
            "CPUs for the rest",
            None if not self.online else cpus_shown(case.others) if case.others else "none",
            len(case.others) > 1,
            "warn",
            f"{CPU}/online",
            "The tester needs a CPU, and so does the rest of the machine: who has none takes a worker's.",
        )

    def _shared_cores(self, case: Case) -> Finding:
        """Two CPUs of the case on one core are worse than one of them and a stranger."""
        found: list[str] = []
        strangers: set[int] = set()
        for core in self.cores or ():
            cpus = cpus_of(core)
            ours, others = cpus & case.cpus, cpus & case.others
            if len(ours) > 1:
                found.append(f"{cpus_shown(ours)} share a core")
            elif ours and others:
                found.append(f"{cpus_shown(ours)} with {cpus_shown(others)}")
                strangers |= others
        commands, _ = write(0, *(f"{CPU}/cpu{cpu}/online" for cpu in sorted(strangers)))
        keep = (Keep("bootloader", "nosmt"),) if strangers else ()
        return judged(
            "shared_cores",
            "shared cores",
            None if self.cores is None else ", ".join(found) or "none",
            not found,
            "warn" if any("share" in each for each in found) else case.level("advise", "warn"),
            f"{CPU}/cpu*/topology/thread_siblings_list",
            "Two CPUs of one core share its units: each is slower, and how much depends on the other. "
            "Name one CPU of each core, and switch the others off.",
            commands,
            keep,
        )

    def _nodes_used(self, case: Case) -> Finding:
        used = of_cpus(self.nodes or {}, case.cpus)
        return judged(
            "numa_nodes",
            "NUMA nodes",
            each_shown({f"node {node}": cpus for node, cpus in used.items()}) or None,
            len(used) == 1,
            "warn",
            f"{_NODE}/node*/cpulist",
            "Rings and frames cross between workers: between nodes each access takes about twice as long. "
            "Name CPUs of one node, that of the devices.",
        )

    def _mitigations(self) -> Finding:
        """What is missing is said, never advised: a lab's machine is attacked like any other."""
        found = self.mitigations or {}
        vulnerable = sorted(name for name, state in found.items() if state.startswith("Vulnerable"))
        return judged(
            "mitigations",
            "mitigations",
            None
            if self.mitigations is None
            else f"vulnerable: {', '.join(vulnerable)}"
            if vulnerable
            else "complete",
            not vulnerable,
            "advise",
            f"{_VULNERABILITIES}/*",
            "They cost time in each system call, so figures with and without them can't be compared. "
            "Say what is missing beside the figures; it is in the result.",
        )


def cpu_info(tree: Tree) -> Mapping[str, str]:
    """What /proc/cpuinfo says of the first CPU."""
    found: dict[str, str] = {}
    for line in tree.lines(CPUINFO):
        key, colon, value = line.partition(":")
        if colon:
            found.setdefault(key.strip(), value.strip())
    return found


def _virtual(tree: Tree, info: Mapping[str, str]) -> bool | None:
    if "flags" in info:  # x86 tells
        return "hypervisor" in info["flags"].split()
    return True if tree.exists("/sys/hypervisor/type") else None


def _cores(tree: Tree) -> tuple[str, ...] | None:
    siblings = each_cpu(tree, "topology/thread_siblings_list")
    return None if siblings is None else tuple(core for core in siblings if re.search("[,-]", core))


def _nodes(tree: Tree) -> PerCpu | None:
    found = {
        name[4:]: tree.cpus(f"{_NODE}/{name}/cpulist")
        for name in tree.names(_NODE)
        if re.fullmatch("node[0-9]+", name)
    }
    return {node: format_cpu_list(cpus) for node, cpus in found.items() if cpus} or None

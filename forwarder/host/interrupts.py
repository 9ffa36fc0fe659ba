# SPDX-License-Identifier: Apache-2.0
"""Interrupts of devices: on which CPU each arrives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Self

from forwarder.config.cpus import format_cpu_list
from forwarder.host.aspect import cpus_of, varies
from forwarder.host.finding import Case, Finding, cpus_shown, judged
from forwarder.host.processes import named
from forwarder.host.tree import Tree

FILE = "/proc/interrupts"
_IRQ = "/proc/irq"


@dataclass(frozen=True)
class Interrupts:
    """Where an interrupt may arrive (its affinity) isn't where it does: the effective affinity says that."""

    default: str | None  # CPUs of new ones
    irqbalance: bool | None = varies()  # it runs, and moves them
    effective: Mapping[str, str] | None = varies()  # CPU list by "36 virtio1-req.0"

    @classmethod
    def read(cls, tree: Tree) -> Self:
        default = tree.mask(f"{_IRQ}/default_smp_affinity")
        balancers = named(tree, "irqbalance")
        return cls(
            default=None if default is None else format_cpu_list(default),
            irqbalance=None if balancers is None else bool(balancers),
            effective=_effective(tree),
        )

    def findings(self, case: Case) -> Iterator[Finding]:
        here = {
            irq: cpus
            for irq, listed in (self.effective or {}).items()
            if irq.split()[0] not in case.interrupts and (cpus := cpus_of(listed) & case.cpus)
        }
        numbers = [irq.split()[0] for irq in here]
        others = format_cpu_list(case.others)
        yield judged(
            "irq_affinity",
            "interrupts of devices",
            None if self.effective is None else _some_shown(here) or "none there",
            not here,
            "advise",
            f"{_IRQ}/*/effective_affinity_list",
            "A device at work interrupts the CPU where its interrupt arrives. The kernel refuses to move "
            "some (of disks and NICs with one for each CPU); `isolcpus=managed_irq` keeps these away.",
            tuple(f"echo {others} > {_IRQ}/{number}/smp_affinity_list" for number in numbers)
            if others
            else (),
        )
        yield judged(
            "irqbalance",
            "irqbalance",
            None if self.irqbalance is None else "runs" if self.irqbalance else "doesn't run",
            self.irqbalance is False,
            "advise",
            "/proc/*/comm",
            "It moves interrupts every ten seconds, also onto CPUs that they were moved away from.",
            ("systemctl stop irqbalance",),
        )


def _some_shown(irqs: Mapping[str, frozenset[int]]) -> str:
    """The first of them."""
    shown = ", ".join(f"{irq} on {cpus_shown(cpus)}" for irq, cpus in list(irqs.items())[:3])
    return f"{shown} and {len(irqs) - 3} more" if len(irqs) > 3 else shown


def _effective(tree: Tree) -> Mapping[str, str] | None:
    """Of interrupts that something has requested."""
    found = {}
    for irq, name in irq_names(tree).items():
        cpus = tree.cpus(f"{_IRQ}/{irq}/effective_affinity_list")
        if irq.isdigit() and cpus is not None:
            found[f"{irq} {name}".strip()] = format_cpu_list(cpus)
    return found or None


def irq_names(tree: Tree) -> Mapping[str, str]:
    """The devices of each interrupt: {"36": "virtio1-req.0", "LOC": "Local timer interrupts"}."""
    head, *lines = tree.lines(FILE) or ("",)
    cpus = len(head.split())
    found = {}
    for line in lines:
        irq, _, rest = line.partition(":")
        irq = irq.strip()
        words = rest.split()[cpus:]
        # A numbered one begins with its chip and the chip's own number, and maybe how it is triggered.
        found[irq] = _actions(words) if irq.isdigit() else " ".join(words)
    return found


def _actions(words: list[str]) -> str:
    """What follows "IO-APIC 4-edge", "PCI-MSIX-0000:00:02.0 1-edge" or "GICv3 23 Level"."""
    after = 3 if words[2:3] in (["Level"], ["Edge"]) else 2
    return " ".join(words[after:])

# SPDX-License-Identifier: Apache-2.0
"""An aspect of the host: its facts, and how they are read. One module for each.

A fact that is unknown is None. A fact that varies from run to run although nobody changed anything (what
irqbalance moved, how much is free) says so, and isn't in the fingerprint.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import Field, field, fields
from typing import Any, ClassVar, Protocol, Self

from forwarder.config.cpus import format_cpu_list, parse_cpu_list
from forwarder.host.finding import Case, Finding
from forwarder.host.tree import Tree

CPU = "/sys/devices/system/cpu"

# The CPU lists by value: {"performance": "0-3", "powersave": "4"}. A CPU without a value is in none.
PerCpu = Mapping[str, str]


class Aspect(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @classmethod
    def read(cls, tree: Tree) -> Self: ...

    def findings(self, case: Case) -> Iterator[Finding]:
        """What these facts mean for a measurement."""
        ...


def varies(**options: Any) -> Any:
    """A dataclass field whose value may differ from run to run."""
    return field(**options, metadata={"varies": True})


def varying(aspect: Aspect) -> frozenset[str]:
    """The names of the facts that vary."""
    return frozenset(each.name for each in fields(aspect) if "varies" in each.metadata)


def stable(aspect: Aspect) -> dict[str, Any]:
    """The facts of an aspect that don't vary."""
    return {
        each.name: getattr(aspect, each.name) for each in fields(aspect) if each.name not in varying(aspect)
    }


def per_cpu(values: Mapping[int, str | None]) -> PerCpu | None:
    """By value; None where no CPU has one."""
    cpus: dict[str, list[int]] = {}
    for cpu, value in values.items():
        if value is not None:
            cpus.setdefault(value, []).append(cpu)
    return {value: format_cpu_list(cpus[value]) for value in sorted(cpus)} or None


def cpus_of(listed: str | None) -> frozenset[int]:
    """Those of a list; none of one that is unknown, empty, or in more than the language of lists."""
    try:
        return frozenset(parse_cpu_list(listed)) if listed else frozenset()
    except ValueError:
        return frozenset()


def of_cpus(values: PerCpu, cpus: frozenset[int]) -> dict[str, frozenset[int]]:
    """The part of the table that is about these CPUs."""
    found = {value: cpus & cpus_of(listed) for value, listed in values.items()}
    return {value: those for value, those in found.items() if those}


def online(tree: Tree) -> frozenset[int]:
    return tree.cpus(f"{CPU}/online") or frozenset()


def each_cpu(tree: Tree, name: str) -> PerCpu | None:
    """The values of a file below each CPU's folder."""
    return per_cpu({cpu: tree.text(f"{CPU}/cpu{cpu}/{name}") for cpu in online(tree)})

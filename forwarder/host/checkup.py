# SPDX-License-Identifier: Apache-2.0
"""Everything that `ttfwd doctor` finds out about a host, for one purpose and some CPUs."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from typing import Any

from forwarder.config.cpus import AUTO, assign, read_topology
from forwarder.errors import ExitCode
from forwarder.host.aspect import cpus_of
from forwarder.host.facts import Facts, facts
from forwarder.host.finding import LEVELS, Case, Finding, Level, Purpose
from forwarder.host.isolation import Isolation
from forwarder.host.look import Look, look
from forwarder.host.look_findings import LookFindings
from forwarder.host.tree import HOST, Tree

SCHEMA_VERSION = 1
_WORKERS = 4


@dataclass(frozen=True)
class Checkup:
    case: Case
    facts: Facts
    look: Look
    findings: tuple[Finding, ...]  # the worst first

    def of(self, *levels: Level) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.level in levels)

    @property
    def exit_code(self) -> ExitCode:
        return ExitCode.NOT_PUBLISHABLE if self.of("block") else ExitCode.DONE

    def to_json(self) -> dict[str, Any]:
        return {
            "schema_version": SCHEMA_VERSION,
            "kind": "doctor",
            "for": self.case.purpose,
            "cpus": sorted(self.case.cpus),
            "publishable": not self.of("block"),
            "findings": [asdict(finding) for finding in self.findings],
            "fingerprint": self.facts.fingerprint,
            "facts": self.facts.to_json(),
            "look": self.look.to_json(self.case.cpus),
        }


def check_up(
    purpose: Purpose,
    cpus: frozenset[int],
    devices: Iterable[tuple[str, str | None]] = (),
    workers: Collection[int] = (),
    tree: Tree = HOST,
) -> Checkup:
    """Takes a second, in which the CPUs are occupied unless there are `workers`, processes that run on them.

    `devices`: name and network namespace. Raises DeviceError if one isn't there, NotPermitted.
    """
    found = facts(devices, tree)
    return judge(purpose, cpus, found, look(cpus, workers, tree))


def judge(purpose: Purpose, cpus: frozenset[int], found: Facts, looked: Look) -> Checkup:
    own = (number for device in found.devices.values() for number in device.interrupts)
    case = Case(purpose, cpus, cpus_of(found.machine.online) - cpus, frozenset(own))
    findings = [*LookFindings(looked, case, found.machine.virtual).all(), *found.findings(case)]
    return Checkup(case, found, looked, tuple(sorted(findings, key=lambda each: LEVELS.index(each.level))))


def quiet_cpus(usable: frozenset[int], tree: Tree = HOST) -> frozenset[int]:
    """The CPUs that a measurement would use: the isolated ones, else those that `cpus = "auto"` begins with.

    One is left for the tester, and one for everything else.
    """
    isolation = Isolation.read(tree)
    isolated = usable & (cpus_of(isolation.isolated) | cpus_of(isolation.partitions))
    workers = max(1, min(_WORKERS, len(usable) - 2))
    topology = read_topology(usable, tree.path("/sys/devices/system"))
    return isolated or frozenset(assign(workers, AUTO, usable, topology))

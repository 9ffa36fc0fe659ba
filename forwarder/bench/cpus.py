# SPDX-License-Identifier: Apache-2.0
"""On which CPUs the tester works: on none of the DUT's, else what it measures is itself."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from forwarder.config.cpus import (
    Topology,
    format_cpu_list,
    not_allowed,
    parse_cpu_list,
    read_topology,
)
from forwarder.errors import UsageError


@dataclass(frozen=True, slots=True)
class ChosenCpus:
    generators: tuple[int, ...]  # one for each direction, or one that both take turns on
    receiver: tuple[int, ...]  # of a receiver that is a process; the others work where a device delivers
    shared: bool  # with the DUT

    @classmethod
    def of(cls, cpus: tuple[int, ...], directions: int, shared: bool) -> ChosenCpus:
        """The generators get the first ones, the receiver the others, or else the same."""
        return cls(cpus[:directions], cpus[directions:] or cpus, shared)


def place_tester(
    wanted: str | None,
    dut: Collection[int],
    allowed: Collection[int],
    directions: int,
    share: bool = False,
    topology: Topology | None = None,
) -> ChosenCpus:
    """The CPUs that the user wants, else the free ones that disturb the DUT least. Raises UsageError.

    `share`: it may be one of the DUT's, if there is no other.
    """
    if wanted is not None:
        cpus = parse_option("--tester-cpus", wanted, allowed)
        common = sorted(set(cpus) & set(dut))
        if common and not share:
            raise UsageError(
                f"--tester-cpus: CPU {format_cpu_list(common)} is the device under test's as well: "
                "name others, or mark the result with --allow-shared-cpus"
            )
        return ChosenCpus.of(cpus, directions, bool(common))
    free = sorted(set(allowed) - set(dut))
    if free:
        found = topology or read_topology(allowed)
        free.sort(key=lambda cpu: (_is_beside(cpu, dut, found), cpu == 0, cpu))
        return ChosenCpus.of(tuple(free), directions, False)
    if not share:
        raise UsageError(
            f"the device under test has every CPU that there is ({format_cpu_list(allowed)}), which leaves "
            "none to the tester: give it fewer (cpus = ...), or mark the result with --allow-shared-cpus"
        )
    return ChosenCpus.of(tuple(sorted(allowed))[:1], directions, True)


def _is_beside(cpu: int, dut: Collection[int], topology: Topology) -> bool:
    """Whether it shares a core with the DUT."""
    return bool(topology.siblings.get(cpu, frozenset()) & set(dut))


def parse_option(option: str, wanted: str, allowed: Collection[int]) -> tuple[int, ...]:
    """The CPUs of a list. Raises UsageError, which names the option."""
    try:
        cpus = parse_cpu_list(wanted)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from None
    refused = set(cpus) - set(allowed)
    if refused:
        raise UsageError(f"{option}: {not_allowed(refused, allowed)}")
    return cpus

# SPDX-License-Identifier: Apache-2.0
"""The CPU that each worker is pinned to. This process may run on every CPU that is handed out."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

AUTO = "auto"
CPU_LIMIT = 8192  # the largest NR_CPUS of any kernel; it bounds the size of a range

_ITEM = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")
_SYSFS = Path("/sys/devices/system")


def parse_cpu_list(text: str) -> tuple[int, ...]:
    """CPU numbers of a list such as "2-5,7" (the kernel's cpulist format), in the order given.

    Raises ValueError, whose message says what would be right.
    """
    cpus: dict[int, None] = {}  # keeps the order
    for item in text.split(","):
        match = _ITEM.fullmatch(item.strip())
        if match is None:
            what = f"{item.strip()[:20]!r} is not a CPU or a range" if item.strip() else "an item is empty"
            raise ValueError(f'{what}: write numbers and ranges, such as "2-5,7"')
        first = int(match[1])
        last = int(match[2]) if match[2] else first
        if last < first:
            raise ValueError(f'the range {first}-{last} runs backwards: write "{last}-{first}"')
        if last >= CPU_LIMIT:
            raise ValueError(f"CPU {last} is too large: 0 to {CPU_LIMIT - 1}")
        for cpu in range(first, last + 1):
            if cpu in cpus:
                raise ValueError(
                    f"CPU {cpu} is named twice: name it once, workers share it when CPUs are few"
                )
            cpus[cpu] = None
    return tuple(cpus)


def format_cpu_list(cpus: Iterable[int]) -> str:
    """The shortest list that names these CPUs, sorted: {0, 1, 2, 7} is "0-2,7"."""
    runs: list[list[int]] = []
    for cpu in sorted(set(cpus)):
        if runs and cpu == runs[-1][-1] + 1:
            runs[-1].append(cpu)
        else:
            runs.append([cpu])
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def allowed_cpus() -> frozenset[int]:
    """The CPUs that this process may run on: its affinity mask, which its cpuset bounds."""
    import psutil  # here, because it takes long and most commands don't need it

    return frozenset(psutil.Process().cpu_affinity())


def usable_cpus() -> frozenset[int]:
    """The CPUs that a process here could be pinned to now, as the kernel tells one that asks for all.

    allowed_cpus() may show fewer: somebody may have narrowed this process' own mask. A thread asks, which has
    a mask of its own: the kernel remembers what was asked for, and would never again give this process more.
    """
    found = allowed_cpus()

    def ask() -> None:
        nonlocal found
        with suppress(OSError):
            os.sched_setaffinity(0, range(CPU_LIMIT))
            found = frozenset(os.sched_getaffinity(0))

    thread = threading.Thread(target=ask)
    with suppress(RuntimeError):  # out of threads
        thread.start()
        thread.join()
    return found


def nameable_cpus(sysfs: Path = _SYSFS) -> frozenset[int]:
    """The CPUs that a list may name: the allowed ones, and those that are isolated (`isolcpus`).

    No process is allowed these, until it asks for them.
    """
    isolated = isolated_cpus(sysfs)
    return allowed_cpus() | (isolated & usable_cpus() if isolated else isolated)


def cpus_for(spec: str) -> frozenset[int]:
    """The CPUs among which assign() finds those of `spec`."""
    return allowed_cpus() if spec == AUTO else nameable_cpus()


def isolated_cpus(sysfs: Path = _SYSFS) -> frozenset[int]:
    """The CPUs that the scheduler leaves alone since the boot."""
    try:
        return frozenset(parse_cpu_list((sysfs / "cpu" / "isolated").read_text(encoding="ascii").strip()))
    except (OSError, ValueError):  # an empty list names none
        return frozenset()


@dataclass(frozen=True)
class Topology:
    """Cores and NUMA nodes. A CPU that is in neither table counts as a core of its own on node 0."""

    siblings: Mapping[int, frozenset[int]]  # the threads of a CPU's core, itself included
    nodes: Mapping[int, int]  # the NUMA node of a CPU


def read_topology(cpus: Iterable[int], sysfs: Path = _SYSFS) -> Topology:
    """The topology of `cpus`, as far as sysfs tells it (some containers don't mount it)."""
    siblings: dict[int, frozenset[int]] = {}
    nodes: dict[int, int] = {}
    for cpu in cpus:
        folder = sysfs / "cpu" / f"cpu{cpu}"
        try:
            text = (folder / "topology" / "thread_siblings_list").read_text(encoding="ascii")
            siblings[cpu] = frozenset(parse_cpu_list(text.strip()))
        except (OSError, ValueError):
            pass
        for link in folder.glob("node[0-9]*"):
            nodes[cpu] = int(link.name.removeprefix("node"))
    return Topology(siblings, nodes)


def assign(
    queues: int, spec: str, allowed: Collection[int], topology: Topology | None = None
) -> tuple[int, ...]:
    """One CPU for each of `queues` workers, shared out round robin when there are fewer CPUs.

    `spec` is "auto" or a CPU list, whose order is kept. Raises ValueError for a list that can't be parsed
    or names a CPU that is not in `allowed`, and when `allowed` is empty.
    """
    if not allowed:
        raise ValueError("no CPU is allowed to this process")
    if spec == AUTO:
        order = _preferred(queues, sorted(set(allowed)), topology or read_topology(allowed))
    else:
        order = parse_cpu_list(spec)
        refused = sorted(set(order) - set(allowed))
        if refused:
            raise ValueError(not_allowed(refused, allowed))
    return tuple(order[worker % len(order)] for worker in range(queues))


def not_allowed(cpus: Collection[int], allowed: Iterable[int]) -> str:
    """The message for CPUs that a list names although this process may not use them."""
    listed = format_cpu_list(cpus)
    which = f"CPU {listed} doesn't exist or is" if len(cpus) == 1 else f"CPUs {listed} don't exist or are"
    return f"{which} not allowed to this process: allowed are {format_cpu_list(allowed)}"


def _preferred(queues: int, allowed: list[int], topology: Topology) -> tuple[int, ...]:
    """All of `allowed`, the best first.

    CPU 0 comes last: by default timers, RCU callbacks and most interrupts run there. A core of its
    own comes before a shared core, because sharing costs far more than a remote NUMA node. One node comes
    before two, because rings and frames cross between workers.
    """
    others = [cpu for cpu in allowed if cpu != 0]
    node = {cpu: topology.nodes.get(cpu, 0) for cpu in allowed}
    core = {cpu: topology.siblings.get(cpu, frozenset((cpu,))) for cpu in allowed}
    thread = {cpu: sum(other < cpu and other in core[cpu] for other in others) for cpu in allowed}
    cores = {n: sum(node[cpu] == n and thread[cpu] == 0 for cpu in others) for n in set(node.values())}

    def rank(cpu: int) -> tuple[bool, int, bool, int, int, bool, int]:
        cores_here = cores[node[cpu]]
        enough = cores_here >= queues
        return (
            cpu == 0,
            thread[cpu],
            not enough,
            0 if enough else -cores_here,
            node[cpu],
            0 in core[cpu],  # its core is slowed by CPU 0's interrupts
            cpu,
        )

    return tuple(sorted(allowed, key=rank))

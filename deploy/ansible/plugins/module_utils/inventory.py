# SPDX-License-Identifier: Apache-2.0
"""What is wrong with an inventory, before anything is touched. Every problem says where it is.

Pure. What only a host can tell (its interfaces and CPUs) is checked for the hosts that have told it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .cables import Cable, End, cables_between, ways
from .matrix import DEFAULTS, DRIVERS, KEYS, TESTS

_ETHERNET_BYTES = 14
_SMALLEST, _LARGEST = 60, 9014  # bytes of a frame without FCS
_MOST_FLOWS, _MOST_QUEUES = 1 << 20, 64
_CPU_USES = ("workers", "tester", "irq")


@dataclass(frozen=True)
class Host:
    """What the inventory says of a host, and what the host says of itself: None until it has been asked."""

    cpus: Any = None  # lab_cpus
    mtus: Mapping[str, int] | None = None  # by interface
    online: Collection[int] | None = None


@dataclass(frozen=True)
class Lab:
    testers: Sequence[str]
    duts: Sequence[str]
    hosts: Mapping[str, Host]
    links: Any
    matrix: Any
    cables: dict[int, Cable] = field(default_factory=dict)  # those that are well-formed, by place


def problems(lab: Lab) -> list[str]:
    """All of them, in the order of the inventory; none: it can be used."""
    return [*_groups(lab), *_links(lab), *_cpus(lab), *_matrix(lab)]


def _groups(lab: Lab) -> Iterator[str]:
    for host in lab.testers:
        if host in lab.duts:
            yield f"groups: {host} is in both tester and dut"


def _links(lab: Lab) -> Iterator[str]:
    if not isinstance(lab.links, list):
        yield "lab_links: not a list"
        return
    used: dict[End, str] = {}
    for at, link in enumerate(lab.links):
        where = f"lab_links[{at}]"
        if not isinstance(link, Mapping) or set(link) != {"a", "b"}:
            yield f"{where}: not a mapping with a and b"
            continue
        ends = {}
        for side in ("a", "b"):
            try:
                ends[side] = End.parse(link[side])
            except ValueError as error:
                yield f"{where}.{side}: {error}"
                continue
            yield from _end(ends[side], f"{where}.{side}", lab)
            if ends[side] in used:
                yield f"{where}.{side}: {ends[side]} is used by {used[ends[side]]} already"
            used.setdefault(ends[side], f"{where}.{side}")
        if len(ends) == 2:
            if ends["a"].host == ends["b"].host:
                yield f"{where}: both ends are on {ends['a'].host}"
            lab.cables[at] = Cable(ends["a"], ends["b"])
    for (tester, dut), pair in cables_between(lab.cables.values(), lab.testers, lab.duts).items():
        if len(pair) % 2:
            yield f"lab_links: {tester} and {dut} have {len(pair)} cables; a way needs two: there and back"


def _end(end: End, where: str, lab: Lab) -> Iterator[str]:
    if end.host not in lab.hosts:
        yield f"{where}: no host {end.host} in the inventory{_perhaps(end.host, lab.hosts)}"
        return
    if end.host not in (*lab.testers, *lab.duts):
        yield f"{where}: {end.host} is neither in group tester nor in group dut"
    mtus = lab.hosts[end.host].mtus
    if mtus is not None and end.interface not in mtus:
        yield f"{where}: {end.host} has no interface {end.interface}; it has {', '.join(sorted(mtus))}"


def _cpus(lab: Lab) -> Iterator[str]:
    for name, host in lab.hosts.items():
        where = f"{name}: lab_cpus"
        if host.cpus is None:
            continue
        if not isinstance(host.cpus, Mapping):
            yield f"{where}: not a mapping of {', '.join(_CPU_USES)}"
            continue
        taken: dict[int, str] = {}
        for use, listed in host.cpus.items():
            if use not in _CPU_USES:
                yield f"{where}.{use}: no such use; there are {', '.join(_CPU_USES)}"
            elif not _is_list_of(listed, 0, 1 << 16):
                yield f"{where}.{use}: not a list of CPU numbers"
            else:
                for cpu in listed:
                    if host.online is not None and cpu not in host.online:
                        known = ", ".join(map(str, sorted(host.online)))
                        yield f"{where}.{use}: {name} has no CPU {cpu}; it has {known}"
                    if cpu in taken:
                        yield f"{where}.{use}: CPU {cpu} is used for {taken[cpu]} already"
                    taken[cpu] = use


def _is_list_of(value: object, low: int, high: int) -> bool:
    return isinstance(value, list) and all(
        isinstance(one, int) and not isinstance(one, bool) and low <= one <= high for one in value
    )


def _matrix(lab: Lab) -> Iterator[str]:
    matrix = lab.matrix
    if not isinstance(matrix, Mapping):
        yield "lab_matrix: not a mapping"
        return
    for name in matrix:
        if name not in KEYS:
            yield f"lab_matrix.{name}: no such key; there are {', '.join(KEYS)}"
    full = {**DEFAULTS, **matrix}
    if full["test"] not in TESTS:
        yield f'lab_matrix.test: no test "{full["test"]}" of a matrix; there are {", ".join(TESTS)}'
    yield from _values(full, "drivers", lambda one: _driver(one))
    yield from _values(full, "sizes", lambda one: _sizes(one, lab))
    yield from _values(full, "flows", lambda one: _number(one, _MOST_FLOWS))
    yield from _values(full, "queues", lambda one: _number(one, _MOST_QUEUES) or _workers(one, lab))
    for name in ("config", "profile"):
        if not isinstance(full[name], Mapping):
            yield f"lab_matrix.{name}: not a mapping"
    if not isinstance(full["allow_noise"], bool):
        yield "lab_matrix.allow_noise: neither true nor false"


def _values(full: Mapping[str, Any], name: str, check: Any) -> Iterator[str]:
    """A dimension is a list of different values."""
    values = full.get(name)
    if not isinstance(values, list) or not values:
        yield f"lab_matrix.{name}: not a list of one value or more"
        return
    for at, value in enumerate(values):
        problem = check(value)
        if problem:
            yield f"lab_matrix.{name}[{at}]: {problem}"
        elif str(value) in map(str, values[:at]):
            yield f"lab_matrix.{name}[{at}]: {value} is there twice"


def _driver(value: object) -> str | None:
    if value in DRIVERS:
        return None
    return f'no driver "{value}"; there are {", ".join(DRIVERS)}{_perhaps(str(value), DRIVERS)}'


def _number(value: object, most: int) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most:
        return None
    return f'"{value}" is not a number from 1 to {most}'


def _sizes(value: object, lab: Lab) -> str | None:
    """Bytes, or a mix as `ttfwd bench --sizes` takes it."""
    parts = str(value).split(",")
    if isinstance(value, bool) or not all(re.fullmatch(r"\d+(x[1-9]\d*)?", part) for part in parts):
        return f'"{value}" is neither a number of bytes nor a mix such as 60x7,1514x1'
    each = [int(part.partition("x")[0]) for part in parts]
    if not all(_SMALLEST <= size <= _LARGEST for size in each):
        return f'"{value}": a frame has {_SMALLEST} to {_LARGEST} bytes without FCS'
    for end in _ends(lab.cables.values()):
        mtu = (lab.hosts[end.host].mtus or {}).get(end.interface) if end.host in lab.hosts else None
        if mtu is not None and mtu + _ETHERNET_BYTES < max(each):
            return f"{end} has an MTU of {mtu}: too small for {max(each)} bytes"
    return None


def _workers(queues: int, lab: Lab) -> str | None:
    for way in ways(lab.cables.values(), lab.testers, lab.duts):
        host = lab.hosts[way.dut]
        workers = host.cpus.get("workers") if isinstance(host.cpus, Mapping) else None
        if isinstance(workers, list) and len(workers) < queues:
            return f"{way.dut} has {len(workers)} CPUs for workers (lab_cpus.workers)"
    return None


def _ends(every: Iterable[Cable]) -> Iterator[End]:
    for cable in every:
        yield from (cable.a, cable.b)


def _perhaps(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(known), 1)
    return f"; is it {close[0]}?" if close else ""

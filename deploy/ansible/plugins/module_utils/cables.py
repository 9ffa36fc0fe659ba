# SPDX-License-Identifier: Apache-2.0
"""The lab's cables as the inventory has them, and the ways through a device under test that they make.

Pure: nothing here touches a host.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class End:
    """One end of a cable: an interface of a host."""

    host: str
    interface: str

    def __str__(self) -> str:
        return f"{self.host}/{self.interface}"

    @classmethod
    def parse(cls, text: object) -> End:
        """Of "host/interface". Raises ValueError."""
        host, slash, interface = text.partition("/") if isinstance(text, str) else ("", "", "")
        if not (host and slash and interface) or "/" in interface:
            raise ValueError(f'"{text}" is not HOST/INTERFACE')
        return cls(host, interface)


@dataclass(frozen=True)
class Cable:
    a: End
    b: End

    def __str__(self) -> str:
        return f"{self.a} - {self.b}"

    def end_at(self, host: str) -> End:
        return self.a if self.a.host == host else self.b


@dataclass(frozen=True)
class Way:
    """From a tester by one cable into a device under test, and by another one back."""

    tester: str
    dut: str
    there: Cable
    back: Cable

    @property
    def tester_interfaces(self) -> tuple[str, str]:
        return self.there.end_at(self.tester).interface, self.back.end_at(self.tester).interface

    @property
    def dut_interfaces(self) -> tuple[str, str]:
        return self.there.end_at(self.dut).interface, self.back.end_at(self.dut).interface


def cables(links: Iterable[Mapping[str, str]]) -> tuple[Cable, ...]:
    """Of links that have been checked."""
    return tuple(Cable(End.parse(link["a"]), End.parse(link["b"])) for link in links)


def cables_between(
    every: Iterable[Cable], testers: Sequence[str], duts: Sequence[str]
) -> dict[tuple[str, str], list[Cable]]:
    """The cables of each pair of a tester and a device under test, in the inventory's order."""
    found: dict[tuple[str, str], list[Cable]] = {}
    for cable in every:
        for one, other in ((cable.a, cable.b), (cable.b, cable.a)):
            if one.host in testers and other.host in duts:
                found.setdefault((one.host, other.host), []).append(cable)
    return found


def ways(every: Iterable[Cable], testers: Sequence[str], duts: Sequence[str]) -> tuple[Way, ...]:
    """Two cables of a pair make a way, in the inventory's order."""
    return tuple(
        Way(tester, dut, pair[at], pair[at + 1])
        for (tester, dut), pair in cables_between(every, testers, duts).items()
        for at in range(0, len(pair) - 1, 2)
    )

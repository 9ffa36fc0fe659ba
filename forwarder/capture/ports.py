# SPDX-License-Identifier: Apache-2.0
"""The names of an instance's ports, also of those that come and go while it is captured."""

from __future__ import annotations

from collections.abc import Collection

from forwarder.errors import UnknownName, listed
from forwarder.native import lib
from forwarder.stats.reader import StatsReader

NOBODY = "-"


class Ports:
    def __init__(self, reader: StatsReader, wanted: Collection[str]) -> None:
        """`wanted`: names of ports; none: every port. Raises UnknownName unless they are there."""
        self._reader = reader
        self._wanted = frozenset(wanted)
        self._names: dict[tuple[int, int], str] = {}
        self.look()
        there = set(self._names.values())
        for name in wanted:
            if name not in there:
                raise UnknownName(f'no port "{name}" (ports: {listed(sorted(there))})')

    def look(self) -> int:
        """See which ports there are now. Returns the wanted ones, each 1 << port id."""
        now = {(port_id, generation): name for port_id, generation, name in self._reader.port_names()}
        self._names |= now
        if not self._wanted:
            return 2**64 - 1
        return sum(1 << port_id for (port_id, _), name in now.items() if name in self._wanted)

    def name(self, port_id: int, generation: int) -> str:
        """NOBODY for what no living port has to do with."""
        if port_id == lib.TTF_NO_PORT:
            return NOBODY
        found = self._names.get((port_id, generation))
        if found is None:
            self.look()
            found = self._names.setdefault((port_id, generation), f"port {port_id}")
        return found

    def wants(self, name: str) -> bool:
        return not self._wanted or name in self._wanted

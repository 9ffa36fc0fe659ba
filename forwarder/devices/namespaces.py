# SPDX-License-Identifier: Apache-2.0
"""The network namespaces of an instance's ports: made with their first port, removed with their last.

Only a namespace made here is removed, and only while its name still stands for it. The journal has the name
before the namespace is made, so that the next start can remove it after a crash.
"""

from contextlib import ExitStack

from forwarder.devices import netns
from forwarder.devices.netns import Netlink, Place
from forwarder.rundir import Journal


class Namespaces:
    """Counts the ports in each namespace."""

    def __init__(self, netlink: Netlink, journal: Journal) -> None:
        self._netlink = netlink
        self._journal = journal
        self._ports: dict[Place, int] = {}
        self._made: set[Place] = set()

    def enter(self, name: str | None) -> Place:
        """Count a port in its namespace, which is made if it is missing. Raises DeviceError."""
        place = Place.named(name) if name is None or netns.exists(name) else self._make(name)
        self._ports[place] = self._ports.get(place, 0) + 1
        return place

    def leave(self, place: Place) -> None:
        """Take back one enter()."""
        self._ports[place] -= 1
        if self._ports[place]:
            return
        del self._ports[place]
        self._netlink.forget(place)
        if place not in self._made:
            return
        self._made.remove(place)
        assert place.name is not None
        if netns.exists(place.name) and Place.named(place.name) == place:
            self._remove(place.name)
        else:  # removed by somebody else, who may have given the name to another namespace
            self._journal.namespaces.remove(place.name)
            self._journal.save()

    def _make(self, name: str) -> Place:
        self._journal.namespaces.append(name)
        self._journal.save()
        with ExitStack() as undo:
            undo.callback(self._remove, name)
            netns.create(name)
            place = Place.named(name)
            undo.pop_all()
        self._made.add(place)
        return place

    def _remove(self, name: str) -> None:
        netns.remove(name)
        self._journal.namespaces.remove(name)
        self._journal.save()

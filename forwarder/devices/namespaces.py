# SPDX-License-Identifier: Apache-2.0
"""The network namespaces of an instance's ports: made with their first port, removed with their last.

Only a namespace that the journal has is removed, only while its name still stands for it, and only if nobody
else uses it. The journal has its identity before it gets its name, so that the next start of the instance can
remove it after a crash, and tries again where it couldn't be removed.
"""

import logging

from forwarder.devices import named_netns, netns_users
from forwarder.devices.claims import Claims
from forwarder.devices.journal import Entry, Journal, MadeNamespace
from forwarder.devices.netlink import Netlink, reason
from forwarder.devices.place import Place
from forwarder.errors import TtfwdError

log = logging.getLogger("ttfwd")


class Namespaces:
    """Counts the ports in each namespace."""

    def __init__(self, netlink: Netlink, journal: Journal, claims: Claims) -> None:
        self._netlink = netlink
        self._journal = journal
        self._claims = claims
        self._ports: dict[Place, int] = {}

    def enter(self, name: str | None, make: bool) -> Place:
        """Count a port in its namespace, which is made if it is missing and `make` says so.

        Raises DeviceError, NotPermitted, and TtfwdError when the journal can't be written.
        """
        if name is None:
            place = self._known(Place.named(None))
        else:
            with self._claims.door():  # otherwise another instance could be removing it
                made = make and not named_netns.exists(name)
                found = make_namespace(name, self._journal) if made else Place.named(name)
                place = self._known(found)
        self._ports[place] = self._ports.get(place, 0) + 1
        return place

    def _known(self, found: Place) -> Place:
        """The place by which we know a namespace that was just opened. The first time it is claimed."""
        for known in self._ports:
            if known.identity == found.identity:  # it may have a second name
                return known
        try:
            if found.name is not None:
                self._claims.claim_namespace(found)
        except TtfwdError:
            self._give_up(found)
            raise
        return found

    def leave(self, place: Place) -> None:
        """Take back one enter(). A namespace that can't be removed is logged, and stays in the journal."""
        self._ports[place] -= 1
        if self._ports[place]:
            return
        del self._ports[place]
        self._netlink.forget(place)
        if place.name is None:
            return
        try:
            with self._claims.door():
                self._claims.release_namespace(place)
                self._give_up(place)
        except TtfwdError as error:
            log.error("%s", error)

    def close(self) -> None:
        """At the end: what was in use may be free by now, as of a tap of ours that had been moved there."""
        for entry in self._journal.entries:
            if not isinstance(entry, MadeNamespace) or self._journal.users(entry) is None:
                continue
            try:
                place = place_of(entry)
                if place is not None:
                    with self._claims.door():
                        remove_if_unused(place, entry, self._journal, self._claims)
            except TtfwdError as error:
                log.error("%s", error)

    def _give_up(self, place: Place) -> None:
        """We have no port there. Call with the door of the claims held. Raises DeviceError, NotPermitted."""
        entry = self._journal.namespace(place.identity)
        if entry is not None:
            remove_if_unused(place, entry, self._journal, self._claims)


def make_namespace(name: str, journal: Journal) -> Place:
    """Make a namespace that didn't exist. Raises TtfwdError, and leaves nothing."""
    place = named_netns.make_unnamed(name)
    entry = MadeNamespace(name=name, identity=place.identity)
    journal.add(entry)
    try:
        named_netns.give_name(place)
    except TtfwdError:
        journal.remove(entry)
        raise
    return place


def place_of(entry: Entry) -> Place | None:
    """The entry's namespace, if its name still stands for it. Raises DeviceError, NotPermitted."""
    name = entry.name if isinstance(entry, MadeNamespace) else entry.netns
    if name is not None and not named_netns.is_namespace(name):
        return None
    place = Place.named(name)
    return place if place.identity == entry.identity else None


def remove_if_unused(place: Place, entry: MadeNamespace, journal: Journal, claims: Claims) -> bool:
    """Remove a namespace that we made, and its entry. Returns whether it was there and could be removed.

    Call with the door of the claims held. Raises DeviceError, NotPermitted.
    """
    if not place.has_its_name():  # removed by somebody else, who may have given the name to another one
        journal.remove(entry)
        return False
    said, users = journal.users(entry), netns_users.users_of(place, claims)
    journal.keep(entry, users)
    if users is not None:
        if users != said:
            log.warning("%s stays: %s; once it isn't needed: %s", entry, users, entry.remedy)
        return False
    try:
        named_netns.take_name(place)
    except OSError as error:
        log.error("%s can't be removed: %s; the next start tries again", entry, reason(error))
        return False
    journal.remove(entry)
    return True

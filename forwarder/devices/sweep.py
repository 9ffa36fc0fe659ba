# SPDX-License-Identifier: Apache-2.0
"""Undoes what earlier starts of the instance left, after a crash or because they couldn't undo it.

Taps that we made went with their last fd. What the journal has is undone if it still is the thing that the
journal means, by identity; a stranger of the same name is left alone. What can't be undone stays in the
journal for the next start.
"""

import logging
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from pyroute2.netlink.exceptions import NetlinkError

from forwarder.devices import changes, named_netns, netns_users
from forwarder.devices.claims import Claims
from forwarder.devices.journal import ChangedDevice, Entry, Journal, MadeNamespace, read
from forwarder.devices.namespaces import place_of, remove_if_unused
from forwarder.devices.netlink import Netlink, reason
from forwarder.devices.place import Place, boot_id
from forwarder.errors import TtfwdError

log = logging.getLogger("ttfwd")


def sweep(journal: Journal, claims: Claims) -> Iterator[str]:
    """Yields what was undone. Errors are logged."""
    # Devices first: they are in namespaces that may go.
    for entry in sorted(journal.entries, key=lambda entry: entry.kind):
        if entry.identity.boot != boot_id():
            journal.remove(entry)  # it went when the machine rebooted
            continue
        try:
            if isinstance(entry, ChangedDevice):
                yield from _set_back(entry, journal)
            else:
                yield from _remove(entry, journal, claims)
        except TtfwdError as error:
            log.error("%s, left over from an earlier start, stays as it is for now: %s", entry, error)


def left_by(instance: str) -> Iterator[tuple[Entry, str | None]]:
    """What an instance that has ended left, each with the reason if it stays on purpose.

    Raises DamagedJournal, DeviceError, NotPermitted.
    """
    claims = Claims(instance)
    for entry in read(instance):
        place = place_of(entry) if entry.identity.boot == boot_id() else None
        if place is None:
            continue
        if isinstance(entry, MadeNamespace):
            with claims.door():
                users = netns_users.users_of(place, claims)
            yield entry, users and f"{users}; once it isn't needed: {entry.remedy}"
        elif _is_changed(entry, place):
            yield entry, None


def _is_changed(entry: ChangedDevice, place: Place) -> bool:
    with closing(Netlink()) as netlink:
        link = _link(entry, place, netlink)
        return link is not None and any(changes.remaining(netlink.of(place), link, entry))


def _set_back(entry: ChangedDevice, journal: Journal) -> Iterator[str]:
    place = place_of(entry)
    if place is None and entry.netns is None:
        log.warning("%s is in another namespace than this start: one that starts there sets it back", entry)
        return
    if place is None:
        log.warning("%s is left as it is: its namespace is gone, or has that name no more", entry)
        journal.remove(entry)
        return
    try:
        with closing(Netlink()) as netlink:
            link = _link(entry, place, netlink)
            if link is None:
                log.warning("%s is left as it is: ifindex %d is gone, or another one", entry, entry.ifindex)
            else:
                yield f"{entry}: {changes.set_back(netlink.of(place), link, entry)}"
        journal.remove(entry)
    except (OSError, NetlinkError) as error:
        log.error("%s can't be set back: %s; the next start tries again", entry, reason(error))


def _link(entry: ChangedDevice, place: Place, netlink: Netlink) -> Any | None:
    """The kernel's message about the device, if it is the one that is meant. Raises NetlinkError."""
    link = netlink.link_at(place, entry.ifindex)
    if link is None or (link.get_attr("IFLA_ADDRESS") or "") not in entry.mac:
        return None
    return link


def _remove(entry: MadeNamespace, journal: Journal, claims: Claims) -> Iterator[str]:
    place = place_of(entry)
    if place is None:
        if named_netns.exists(entry.name) and not named_netns.take_bare_name(entry.name):
            log.warning("%s is left as it is: it isn't the one that this instance made", entry)
        journal.remove(entry)
        return
    with claims.door():
        others = claims.others_in(place)
    if not others:
        netns_users.wait_for_taps(place)
    with claims.door():
        removed = remove_if_unused(place, entry, journal, claims)
    if removed:
        yield str(entry)

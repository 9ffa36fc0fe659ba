# SPDX-License-Identifier: Apache-2.0
"""Netlink in every namespace where the instance has a device: requests, and word of links that changed.

The sockets in a namespace stay open, so that nothing costs a setns(). The kernel keeps a namespace for as
long as a socket is in it: forget() closes them.

Links are read every second and more often, so they have a socket of their own without pyroute2's event loop
(IPRSocket), and no request asks for an acknowledgement behind its answer: IPRoute keeps those for good.
"""

import errno
import os
import select
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any, Self

from pyroute2 import IPRSocket
from pyroute2.netlink import NLM_F_REQUEST
from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.rtnl import RTM_GETLINK
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

from forwarder.devices.link_news import LinkNews
from forwarder.devices.place import Place, inode_of
from forwarder.devices.rtnetlink import RtNetlink


def reason(error: OSError | NetlinkError) -> str:
    """The kernel's reason, in words."""
    return os.strerror((error.code if isinstance(error, NetlinkError) else error.errno) or 0)


@dataclass(frozen=True)
class _Sockets:
    """The sockets in one namespace, which is that of the thread that makes them."""

    changes: RtNetlink
    links: Any  # IPRSocket
    news: LinkNews

    @classmethod
    def made_here(cls) -> Self:
        with ExitStack() as undo:
            changes = RtNetlink()
            undo.callback(changes.close)
            links = IPRSocket()
            undo.callback(links.close)
            links.bind(groups=0)  # makes its socket, which otherwise waits for the first request
            made = cls(changes, links, LinkNews())
            undo.pop_all()
        return made

    def close(self) -> None:
        for each in (self.changes, self.links, self.news):
            each.close()


class Netlink:
    """The sockets of all namespaces. fileno() is readable while a notification waits in any of them."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._sockets: dict[Place, _Sockets] = {}
        self._seq = 0

    # ---------------------------------------------------------------------------------- requests

    def of(self, place: Place) -> Any:
        """The IPRoute in a namespace. Raises DeviceError if there is no such namespace."""
        sockets = self._in(place)
        if sockets.changes.broken:
            with place.inside():
                unbroken = RtNetlink()
            sockets.changes.close()
            sockets = self._sockets[place] = replace(sockets, changes=unbroken)
        return sockets.changes

    def place_of(self, netns_fd: int) -> Place:
        """The namespace of an fd, which stays the caller's. Raises DeviceError, NotPermitted, OSError."""
        inode = inode_of(os.fstat(netns_fd))
        known = (place for place in self._sockets if place.inode == inode)
        return next(known, None) or Place.of_fd(netns_fd)

    def _in(self, place: Place) -> _Sockets:
        if place not in self._sockets:
            with place.inside():
                made = self._sockets[place] = _Sockets.made_here()
            self._epoll.register(made.news, select.EPOLLIN)
        return self._sockets[place]

    def link(self, place: Place, name: str | bytes) -> Any | None:
        """The kernel's message about the device of a name; None if there is none. Raises NetlinkError."""
        request = ifinfmsg()
        request["attrs"].append(["IFLA_IFNAME", name])
        return self._ask(place, request)

    def link_at(self, place: Place, ifindex: int) -> Any | None:
        """The kernel's message about the device of an index; None if there is none. Raises NetlinkError."""
        request = ifinfmsg()
        request["index"] = ifindex
        return self._ask(place, request)

    def _ask(self, place: Place, request: Any) -> Any | None:
        links = self._in(place).links
        self._seq = (self._seq + 1) % 2**32
        links.put(request, RTM_GETLINK, NLM_F_REQUEST, msg_seq=self._seq)
        while True:
            (answer,) = links.get()
            header = answer["header"]
            if header["sequence_number"] == self._seq:  # else: of a request that was interrupted
                break
        if header["error"] is None:
            return answer
        if header["error"].code == errno.ENODEV:
            return None
        raise header["error"]

    # ------------------------------------------------------------------------------ notifications

    def fileno(self) -> int:
        return self._epoll.fileno()

    def news(self) -> dict[Place, set[int] | None]:
        """By namespace, the indices of links that changed since the last call; None: any may have."""
        ready = {fd for fd, _ in self._epoll.poll(0)}
        return {
            place: sockets.news.take()
            for place, sockets in self._sockets.items()
            if sockets.news.fileno() in ready
        }

    # ---------------------------------------------------------------------------------------- end

    def forget(self, place: Place) -> None:
        """Close the sockets in a namespace."""
        sockets = self._sockets.pop(place, None)
        if sockets is not None:
            sockets.close()

    def close(self) -> None:
        for place in tuple(self._sockets):
            self.forget(place)
        self._epoll.close()

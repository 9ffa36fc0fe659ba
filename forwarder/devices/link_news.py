# SPDX-License-Identifier: Apache-2.0
"""The kernel's notifications of links in one network namespace: which of them changed.

A notification says no more than that. The reader then asks the kernel for the device's state. So a burst of
notifications costs one question, and a forged or a lost one does no harm.
"""

import socket
import struct

_RTMGRP_LINK = 1  # linux/rtnetlink.h
# struct nlmsghdr, then struct ifinfomsg up to its index. The attributes behind them aren't read.
_HEAD = struct.Struct("=16xBxHi")
_AT_ONCE = 4096  # of a storm of notifications; the rest is read the next time


class LinkNews:
    """A socket in the namespace that it is made in, and stays in. Raises OSError when it can't be made."""

    def __init__(self) -> None:
        kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        self._socket = socket.socket(socket.AF_NETLINK, kind, socket.NETLINK_ROUTE)
        try:
            self._socket.bind((0, _RTMGRP_LINK))
        except OSError:
            self._socket.close()
            raise

    def fileno(self) -> int:
        return self._socket.fileno()

    def take(self) -> set[int] | None:
        """The indices of links that changed since the last call. None: notifications were lost."""
        changed: set[int] | None = set()
        for _ in range(_AT_ONCE):
            try:
                head = self._socket.recv(_HEAD.size)
            except BlockingIOError:
                break
            except OSError:  # ENOBUFS: the kernel had more than the socket holds; it goes on after that
                changed = None
                continue
            if changed is not None and len(head) == _HEAD.size:
                changed.add(_HEAD.unpack(head)[2])
        return changed

    def close(self) -> None:
        self._socket.close()

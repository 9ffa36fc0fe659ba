# SPDX-License-Identifier: Apache-2.0
"""The control channel between the supervisor and one worker: small JSON messages, with fds beside them.

Both ends use it. An AF_UNIX SOCK_SEQPACKET socketpair keeps the bounds and the order of messages; queues
travel as SCM_RIGHTS. Messages to a worker: hello, attach, peer, detach, go (see forwarder.worker.main).
From it: ready, ack, failed, queue_error.
"""

import array
import json
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

_MAX_BYTES = 64 << 10
_MAX_FDS = 253  # SCM_MAX_FD, include/net/scm.h


class ChannelClosed(Exception):
    """The other end is gone."""


@dataclass(frozen=True)
class Message:
    op: str
    body: dict[str, Any]
    fds: tuple[int, ...]  # the receiver's to close


class Channel:
    """One end. Neither sending (the kernel's buffer holds many messages) nor receiving ever blocks."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        sock.setblocking(False)

    @classmethod
    def pair(cls) -> tuple[Self, socket.socket]:
        """This process' end, and the socket for the other process to wrap."""
        mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return cls(mine), theirs

    def send(self, op: str, fds: Sequence[int] = (), **body: Any) -> None:
        """Raises ChannelClosed when nobody will read it, or when the other end is too far behind to."""
        data = json.dumps({"op": op, **body}).encode()
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        try:
            self.socket.sendmsg([data], rights)
        except OSError as error:
            raise ChannelClosed(str(error)) from None

    def receive(self) -> Message | None:
        """The next message, None if none waits. Raises ChannelClosed."""
        try:
            data, ancillary, _, _ = self.socket.recvmsg(
                _MAX_BYTES, socket.CMSG_LEN(_MAX_FDS * array.array("i").itemsize), socket.MSG_CMSG_CLOEXEC
            )
        except BlockingIOError:
            return None
        except OSError as error:
            raise ChannelClosed(str(error)) from None
        if not data:
            raise ChannelClosed("end of file")
        fds = array.array("i")
        for level, kind, payload in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                fds.frombytes(payload)
        body = json.loads(data)
        return Message(body.pop("op"), body, tuple(fds))

    def close(self) -> None:
        self.socket.close()

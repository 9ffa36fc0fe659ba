# SPDX-License-Identifier: Apache-2.0
"""The worker channel: typed messages between the supervisor and one worker, with fds beside them.

An AF_UNIX SOCK_SEQPACKET socketpair keeps the bounds and the order of messages; fds travel as SCM_RIGHTS.
Guarantees that what receive() returns is a whole message that this end may receive, with as many fds as
belong to it, and that the fds of anything else are closed again.
"""

import array
import os
import socket
from collections.abc import Sequence
from typing import Generic, Self, TypeVar

from forwarder.worker.messages import (
    TO_SUPERVISOR,
    TO_WORKER,
    Delivery,
    MalformedMessage,
    Message,
    ToSupervisor,
    ToWorker,
    decode,
    encode,
)

_MAX_BYTES = 16 << 10
_MAX_FDS = 253  # SCM_MAX_FD, include/net/scm.h
_FD_BYTES = array.array("i").itemsize


class ChannelClosed(Exception):
    """The other end is gone, or can't be reached."""


class ChannelFull(ChannelClosed):
    """The other end is there, but far behind with reading."""


Sent = TypeVar("Sent", bound=Message)
Received = TypeVar("Received", bound=Message)


class Channel(Generic[Sent, Received]):
    """One end. Neither sending (the kernel's buffer holds many messages) nor receiving ever blocks."""

    def __init__(self, sock: socket.socket, expected: tuple[type[Received], ...]) -> None:
        self._socket = sock
        self._expected = expected
        sock.setblocking(False)

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, message: Sent, fds: Sequence[int] = ()) -> None:
        """Raises ChannelFull, or ChannelClosed if the other end is gone."""
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        try:
            self._socket.sendmsg([encode(message)], rights)
        except BlockingIOError:
            raise ChannelFull("the other end doesn't read its messages") from None
        except OSError as error:
            raise ChannelClosed(error.strerror or str(error)) from None

    def receive(self) -> Delivery[Received] | None:
        """The next message, None if none waits. Its fds are the caller's to close.

        Raises ChannelClosed, or MalformedMessage. After the latter, the next call returns what follows.
        """
        try:
            data, ancillary, flags, _ = self._receive()
        except BlockingIOError:
            return None
        except OSError as error:
            raise ChannelClosed(error.strerror or str(error)) from None
        fds = _fds(ancillary)
        try:
            return Delivery(self._checked(data, len(fds), flags), fds)
        except BaseException:
            for fd in fds:
                os.close(fd)
            raise

    def _receive(self) -> tuple[bytes, list[tuple[int, int, bytes]], int, object]:
        size = socket.CMSG_LEN(_MAX_FDS * _FD_BYTES)
        try:
            return self._socket.recvmsg(_MAX_BYTES, size, socket.MSG_CMSG_CLOEXEC)
        except ConnectionResetError:  # once, if the other end left messages unread; those that it sent follow
            return self._socket.recvmsg(_MAX_BYTES, size, socket.MSG_CMSG_CLOEXEC)

    def _checked(self, data: bytes, fds: int, flags: int) -> Received:
        if not data and not fds:
            raise ChannelClosed("end of file")
        if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
            raise MalformedMessage(f"longer than {_MAX_BYTES} bytes, or more than {_MAX_FDS} descriptors")
        message = decode(data, self._expected)
        if fds not in message.fd_counts:
            raise MalformedMessage(f"{message.op}: {fds} descriptors beside it")
        return message

    def close(self) -> None:
        self._socket.close()


class SupervisorEnd(Channel[ToWorker, ToSupervisor]):
    @classmethod
    def pair(cls) -> tuple[Self, socket.socket]:
        """The supervisor's end, and the socket that the worker's process inherits."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return cls(ours, TO_SUPERVISOR), theirs


class WorkerEnd(Channel[ToSupervisor, ToWorker]):
    @classmethod
    def inherited(cls, fd: int) -> Self:
        return cls(socket.socket(fileno=fd), TO_WORKER)


def _fds(ancillary: Sequence[tuple[int, int, bytes]]) -> tuple[int, ...]:
    fds = array.array("i")
    for level, kind, payload in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(payload[: len(payload) // _FD_BYTES * _FD_BYTES])
    return tuple(fds)

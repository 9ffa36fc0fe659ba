# SPDX-License-Identifier: Apache-2.0
"""The control socket, as the supervisor serves it from its own loop: a Unix stream socket of mode 0600.

The kernel says who connects (SO_PEERCRED): root and the instance's owner are served, nobody else.
"""

import itertools
import os
import selectors
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from forwarder.control.rpc import FAILED, MAX_REQUEST_BYTES, Params, answer, error_reply
from forwarder.errors import ExitCode, TtfwdError

_REPLY_TIMEOUT_S = 1.0


@dataclass
class Client:
    """One connection, for the handler of its requests."""

    socket: socket.socket
    number: int  # no other connection's
    pid: int
    beside: tuple[int, ...] = ()  # descriptors that go beside the reply, and stay the handler's
    when_gone: Callable[[], None] = lambda: None  # called once the connection has ended
    received: bytearray = field(default_factory=bytearray)


Handler = Callable[[str, Params, Client], Any]


def _peer(sock: socket.socket) -> tuple[int, int]:
    """(pid, uid) of the process at the other end, as the kernel knows them (SO_PEERCRED, unix(7))."""
    data = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int.from_bytes(data[0:4], sys.byteorder), int.from_bytes(data[4:8], sys.byteorder)


class ControlServer:
    """Listens, reads lines, replies. Registers its sockets with the supervisor's selector."""

    def __init__(self, path: Path, selector: selectors.BaseSelector, handler: Handler) -> None:
        self._path = path
        self._selector = selector
        self._handler = handler
        self._clients: set[int] = set()
        self._numbers = itertools.count()
        path.unlink(missing_ok=True)  # ours alone: we hold the instance's lock
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        mask = os.umask(0o177)
        try:
            self._socket.bind(str(path))
        except OSError as error:  # a path of more than 107 bytes, for one (unix(7))
            self._socket.close()
            raise TtfwdError(f"control socket {path}: {error.strerror or error}") from None
        finally:
            os.umask(mask)
        self._socket.listen(128)  # a full backlog refuses: clients wait while a port is made
        selector.register(self._socket, selectors.EVENT_READ, self._accept)

    def _accept(self) -> None:
        try:
            sock, _ = self._socket.accept()
        except OSError:  # EAGAIN: the client went away; EMFILE: the next turn tries again
            return
        pid, uid = _peer(sock)
        if uid not in (0, os.geteuid()):
            sock.settimeout(_REPLY_TIMEOUT_S)
            text = f"process {pid} of user {uid} is neither root nor the instance's owner"
            self._reply(sock, error_reply(None, FAILED, text, exit_code=int(ExitCode.NOT_PERMITTED)))
            sock.close()
            return
        sock.setblocking(False)
        client = Client(sock, next(self._numbers), pid)
        self._clients.add(sock.fileno())
        self._selector.register(sock, selectors.EVENT_READ, lambda: self._read(client))

    def _read(self, client: Client) -> None:
        try:
            data = client.socket.recv(MAX_REQUEST_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        client.received += data
        while (end := client.received.find(b"\n")) >= 0:
            line = bytes(client.received[:end])
            del client.received[: end + 1]
            reply = answer(line, lambda method, params: self._handler(method, params, client))
            fds, client.beside = client.beside, ()
            if reply is not None and not self._reply(client.socket, reply, fds):
                data = b""
                break
        if not data or len(client.received) > MAX_REQUEST_BYTES:
            self._drop(client)

    @staticmethod
    def _reply(sock: socket.socket, reply: bytes, fds: tuple[int, ...] = ()) -> bool:
        try:
            sock.settimeout(_REPLY_TIMEOUT_S)  # a client that doesn't read can't hold the supervisor up
            sent = socket.send_fds(sock, [reply], fds) if fds else 0
            sock.sendall(reply[sent:])
            sock.setblocking(False)
        except OSError:
            return False
        return True

    def _drop(self, client: Client) -> None:
        self._clients.discard(client.socket.fileno())
        self._selector.unregister(client.socket)
        client.socket.close()
        client.when_gone()

    def close(self) -> None:
        self._path.unlink(missing_ok=True)
        self._selector.unregister(self._socket)
        self._socket.close()
        for key in list(self._selector.get_map().values()):
            if key.fd in self._clients:
                self._selector.unregister(key.fileobj)
                key.fileobj.close()  # type: ignore[union-attr]

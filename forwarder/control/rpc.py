# SPDX-License-Identifier: Apache-2.0
"""The control socket: JSON-RPC 2.0 over a Unix stream socket, one JSON object a line.

The supervisor serves it from its own loop; the CLI calls it. Who connects is asked of the kernel
(SO_PEERCRED): root or the instance's owner, nobody else. Methods: docs/control.md.
"""

import json
import logging
import os
import selectors
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from forwarder.errors import ExitCode, NotPermitted, NotRunning, TtfwdError
from forwarder.supervisor.worker_process import unix_credentials

log = logging.getLogger("ttfwd")

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
FAILED = -32000  # data.exit_code says with which exit code the CLI ends

_MAX_REQUEST_BYTES = 64 << 10
_REPLY_TIMEOUT_S = 1.0

Params = dict[str, Any]
Handler = Callable[[str, Params], Any]


class MethodNotFound(Exception):
    """The handler knows no such method."""


class Refused(TtfwdError):
    """What the instance answered instead of a result; carries its exit code."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = ExitCode(exit_code)


@dataclass
class _Client:
    socket: socket.socket
    received: bytearray = field(default_factory=bytearray)


def answer(line: bytes, handler: Handler) -> bytes | None:
    """One request line to one reply line; None for a notification. Never raises for what a client sends."""
    try:
        request = json.loads(line)
    except (ValueError, RecursionError):  # RecursionError: brackets nested thousands deep
        return _error(None, PARSE_ERROR, "not JSON")
    if not isinstance(request, dict) or request.get("jsonrpc") != "2.0":
        return _error(None, INVALID_REQUEST, 'not a JSON-RPC 2.0 request object ("jsonrpc": "2.0")')
    identity = request.get("id")
    if not isinstance(identity, str | int | None):
        return _error(None, INVALID_REQUEST, "id: a string or an integer")
    method, params = request.get("method"), request.get("params", {})
    if not isinstance(method, str):
        return _error(identity, INVALID_REQUEST, "no method")
    reply = _reply_to(identity, method, params, handler)
    return reply if "id" in request else None


def _reply_to(identity: str | int | None, method: str, params: Any, handler: Handler) -> bytes:
    if not isinstance(params, dict):
        return _error(identity, INVALID_PARAMS, "params must be an object")
    try:
        result = handler(method, params)
    except MethodNotFound:
        return _error(identity, METHOD_NOT_FOUND, f"unknown method {method}")
    except TtfwdError as error:
        return _error(identity, FAILED, str(error), exit_code=int(error.exit_code))
    except OSError as error:  # out of file descriptors or memory: the request fails, the instance goes on
        text = f"{method}: {error.strerror or error}"
        return _error(identity, FAILED, text, exit_code=int(ExitCode.FAILED))
    except Exception:  # a defect of ours ends the request, not everybody's forwarding
        log.exception("%s failed", method)
        text = f"{method}: internal error, see the instance's log"
        return _error(identity, FAILED, text, exit_code=int(ExitCode.FAILED))
    return json.dumps({"jsonrpc": "2.0", "id": identity, "result": result}).encode() + b"\n"


def _error(identity: Any, code: int, message: str, **data: Any) -> bytes:
    error: dict[str, Any] = {"code": code, "message": message}
    if data:
        error["data"] = data
    return json.dumps({"jsonrpc": "2.0", "id": identity, "error": error}).encode() + b"\n"


class ControlServer:
    """Listens, reads lines, replies. Registers its sockets with the supervisor's selector."""

    def __init__(self, path: Path, selector: selectors.BaseSelector, handler: Handler) -> None:
        self._path = path
        self._selector = selector
        self._handler = handler
        self._clients: set[int] = set()
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
        except OSError:  # EAGAIN: it went away again; EMFILE: it is asked again at the next turn
            return
        pid, uid = unix_credentials(sock)
        if uid not in (0, os.geteuid()):
            sock.settimeout(_REPLY_TIMEOUT_S)
            text = f"process {pid} of user {uid} is neither root nor the instance's owner"
            self._reply(sock, _error(None, FAILED, text, exit_code=int(ExitCode.NOT_PERMITTED)))
            sock.close()
            return
        sock.setblocking(False)
        client = _Client(sock)
        self._clients.add(sock.fileno())
        self._selector.register(sock, selectors.EVENT_READ, lambda: self._read(client))

    def _read(self, client: _Client) -> None:
        try:
            data = client.socket.recv(_MAX_REQUEST_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        client.received += data
        while (end := client.received.find(b"\n")) >= 0:
            line = bytes(client.received[:end])
            del client.received[: end + 1]
            reply = answer(line, self._handler)
            if reply is not None and not self._reply(client.socket, reply):
                data = b""
                break
        if not data or len(client.received) > _MAX_REQUEST_BYTES:
            self._drop(client)

    @staticmethod
    def _reply(sock: socket.socket, reply: bytes) -> bool:
        try:
            sock.settimeout(_REPLY_TIMEOUT_S)  # a client that doesn't read can't hold the supervisor up
            sock.sendall(reply)
            sock.setblocking(False)
        except OSError:
            return False
        return True

    def _drop(self, client: _Client) -> None:
        self._clients.discard(client.socket.fileno())
        self._selector.unregister(client.socket)
        client.socket.close()

    def close(self) -> None:
        self._path.unlink(missing_ok=True)
        self._selector.unregister(self._socket)
        self._socket.close()
        for key in list(self._selector.get_map().values()):
            if key.fd in self._clients:
                self._selector.unregister(key.fileobj)
                key.fileobj.close()  # type: ignore[union-attr]


def call(path: Path, method: str, params: Params, timeout_s: float = 30.0) -> Any:
    """Ask a running instance. Raises NotRunning, NotPermitted, Refused."""
    request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(timeout_s)
        try:
            sock.connect(str(path))
            with suppress(BrokenPipeError):  # refused before it was read: the reply says why
                sock.sendall(json.dumps(request).encode() + b"\n")
            with sock.makefile("rb") as lines:
                line = lines.readline()
        except (FileNotFoundError, ConnectionRefusedError):
            raise NotRunning(f"nobody answers at {path}") from None
        except PermissionError:
            raise NotPermitted(f"{path}: only root and the instance's owner may use it") from None
        except TimeoutError:
            raise TtfwdError(f"the supervisor at {path} did not answer within {timeout_s:g} s") from None
        except OSError as error:
            raise TtfwdError(f"{path}: {error.strerror}") from None
    if not line:
        raise TtfwdError(f"the supervisor at {path} closed the connection without an answer")
    reply = json.loads(line)
    if "error" in reply:
        refusal = reply["error"]
        raise Refused(refusal["message"], refusal.get("data", {}).get("exit_code", ExitCode.FAILED))
    return reply["result"]

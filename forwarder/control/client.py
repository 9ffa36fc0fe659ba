# SPDX-License-Identifier: Apache-2.0
"""Ask a running instance over its control socket: one reply to each request."""

import json
import socket
import struct
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from forwarder import rundir
from forwarder.control.rpc import Params
from forwarder.errors import ExitCode, NotPermitted, NotRunning, Refused, TtfwdError

TIMEOUT_S = 30.0
_FIRST_BYTES = 64 << 10
_UCRED = "iII"  # struct ucred: pid, uid, gid


class Connection:
    """A connection to the supervisor of an instance. Use as a context manager."""

    def __init__(self, instance: str) -> None:
        """Raises NotRunning, NotPermitted, or TtfwdError."""
        self._instance = instance
        self._path = rundir.socket_path(instance)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(TIMEOUT_S)
        try:
            self._socket.connect(str(self._path))
        except OSError as error:
            self._socket.close()
            raise self._failure(error) from None
        uid = self._peer()[1]
        if uid not in rundir.owners():  # the process that listens there didn't start the instance
            self._socket.close()
            raise NotPermitted(f"{self._path}: it belongs to user {uid}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._socket.close()

    def fileno(self) -> int:
        """It can be read once the supervisor has ended."""
        return self._socket.fileno()

    @property
    def supervisor_pid(self) -> int:
        """The supervisor's process, 0 if it can't be seen from this PID namespace."""
        return self._peer()[0]

    def _peer(self) -> tuple[int, int]:
        """Process and user at the other end, as the kernel knows them (SO_PEERCRED, unix(7))."""
        data = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize(_UCRED))
        pid, uid, _ = struct.unpack(_UCRED, data)
        return pid, uid

    def call(self, method: str, params: Params) -> Any:
        """The result of a method. Raises Refused, NotRunning if the supervisor ended, or TtfwdError."""
        result, _ = self.call_for_fds(method, params, 0)
        return result

    def call_for_fds(self, method: str, params: Params, most: int) -> tuple[Any, tuple[int, ...]]:
        """The result of a method, and the descriptors beside it (at most so many), which are the caller's.

        Raises what call() does; then there are none.
        """
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        try:
            with suppress(BrokenPipeError):  # refused before it was read: the reply says why
                self._socket.sendall(json.dumps(request).encode() + b"\n")
            line, fds, _, _ = socket.recv_fds(self._socket, _FIRST_BYTES, most, socket.MSG_CMSG_CLOEXEC)
            if line and not line.endswith(b"\n"):
                with self._socket.makefile("rb") as lines:
                    line += lines.readline()
        except OSError as error:
            raise self._failure(error) from None
        if not line:
            raise self._gone()
        return self._result(line), tuple(fds)

    def _result(self, line: bytes) -> Any:
        reply = json.loads(line)
        if "error" in reply:
            refusal = reply["error"]
            raise Refused(refusal["message"], refusal.get("data", {}).get("exit_code", ExitCode.FAILED))
        return reply["result"]

    def _gone(self) -> NotRunning:
        return NotRunning(self._instance, rundir.running())

    def _failure(self, error: OSError) -> TtfwdError:
        match error:
            case FileNotFoundError() | ConnectionError():  # a supervisor that ends resets its connections
                return self._gone()
            case PermissionError():
                return NotPermitted(f"{self._path}: only root and the instance's owner may use it")
            case TimeoutError():
                return TtfwdError(f"the supervisor at {self._path} did not answer within {TIMEOUT_S:g} s")
            case _:
                return TtfwdError(f"{self._path}: {error.strerror or error}")


def call(instance: str, method: str, params: Params) -> Any:
    """The result of one method. Raises what Connection does."""
    with Connection(instance) as connection:
        return connection.call(method, params)

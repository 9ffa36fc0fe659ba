# SPDX-License-Identifier: Apache-2.0
"""A JSON-RPC 2.0 client for tests: it can follow or violate the control socket's protocol."""

from __future__ import annotations

import json
import socket
from typing import Any

from tests.support.commands import TIME_FACTOR
from tests.support.instance import Instance

TIMEOUT_S = 30.0 * TIME_FACTOR


class Client:
    """One connection to an instance's control socket."""

    def __init__(self, it: Instance) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(TIMEOUT_S)
        self.socket.connect(str(it.directory / f"{it.name}.sock"))
        self._lines = self.socket.makefile("rb")
        self._identity = 0

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def reply(self) -> dict[str, Any] | None:
        """The next line, or None at the end of the connection."""
        try:
            line = self._lines.readline()
        except ConnectionResetError:
            return None
        if not line:
            return None
        found: dict[str, Any] = json.loads(line)
        return found

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """Send one request and return its whole reply."""
        self._identity += 1
        request = {"jsonrpc": "2.0", "id": self._identity, "method": method, "params": params}
        self.send(json.dumps(request).encode() + b"\n")
        reply = self.reply()
        assert reply is not None, "the connection ended without an answer"
        assert reply["jsonrpc"] == "2.0"
        assert reply["id"] == self._identity
        return reply

    def call(self, method: str, **params: Any) -> Any:
        """The result. An error fails the test."""
        reply = self.ask(method, **params)
        assert "error" not in reply, reply
        return reply["result"]

    def hang_up(self) -> None:
        """End this side's stream. Replies can still be read."""
        self.socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._lines.close()
        self.socket.close()

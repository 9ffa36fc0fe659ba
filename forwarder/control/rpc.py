# SPDX-License-Identifier: Apache-2.0
"""JSON-RPC 2.0, as the control socket speaks it: one JSON object a line. Methods: docs/control.md.

Pure, but for its log line: a request in, a reply out.
"""

import json
import logging
from collections.abc import Callable
from typing import Any

from forwarder.errors import ExitCode, TtfwdError

log = logging.getLogger("ttfwd")

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
FAILED = -32000  # data.exit_code says with which exit code the CLI ends

MAX_REQUEST_BYTES = 64 << 10

Params = dict[str, Any]
Handler = Callable[[str, Params], Any]


class MethodNotFound(Exception):
    """The handler knows no such method."""


def answer(line: bytes, handler: Handler) -> bytes | None:
    """One request line to one reply line; None for a notification. No request makes it raise."""
    try:
        request = json.loads(line)
    except (ValueError, RecursionError):  # RecursionError: brackets nested thousands deep
        return error_reply(None, PARSE_ERROR, "not JSON")
    if not isinstance(request, dict) or request.get("jsonrpc") != "2.0":
        return error_reply(None, INVALID_REQUEST, 'not a JSON-RPC 2.0 request object ("jsonrpc": "2.0")')
    identity = request.get("id")
    if not isinstance(identity, str | int | None):
        return error_reply(None, INVALID_REQUEST, "id: a string or an integer")
    method, params = request.get("method"), request.get("params", {})
    if not isinstance(method, str):
        return error_reply(identity, INVALID_REQUEST, "no method")
    reply = _reply_to(identity, method, params, handler)
    return reply if "id" in request else None


def _reply_to(identity: str | int | None, method: str, params: Any, handler: Handler) -> bytes:
    if not isinstance(params, dict):
        return error_reply(identity, INVALID_PARAMS, "params must be an object")
    try:
        result = handler(method, params)
    except MethodNotFound:
        return error_reply(identity, METHOD_NOT_FOUND, f"unknown method {method}")
    except TtfwdError as error:
        return error_reply(identity, FAILED, str(error), exit_code=int(error.exit_code))
    except (OSError, MemoryError) as error:  # out of file descriptors, say: the request fails alone
        why = error.strerror if isinstance(error, OSError) else "out of memory"
        text = f"{method}: {why or error}"
        return error_reply(identity, FAILED, text, exit_code=int(ExitCode.FAILED))
    except Exception:  # a defect ends the request; forwarding goes on
        log.exception("%s failed", method)
        text = f"{method}: internal error, see the instance's log"
        return error_reply(identity, FAILED, text, exit_code=int(ExitCode.FAILED))
    return json.dumps({"jsonrpc": "2.0", "id": identity, "result": result}).encode() + b"\n"


def error_reply(identity: Any, code: int, message: str, **data: Any) -> bytes:
    error: dict[str, Any] = {"code": code, "message": message}
    if data:
        error["data"] = data
    return json.dumps({"jsonrpc": "2.0", "id": identity, "error": error}).encode() + b"\n"

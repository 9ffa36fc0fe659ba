# SPDX-License-Identifier: Apache-2.0
"""Ask a running instance over its control socket: one request, one reply."""

import json
import socket
from contextlib import suppress
from typing import Any

from forwarder import rundir
from forwarder.control.rpc import Params
from forwarder.errors import ExitCode, NotPermitted, NotRunning, Refused, TtfwdError


def call(instance: str, method: str, params: Params, timeout_s: float = 30.0) -> Any:
    """The result of a method. Raises NotRunning, NotPermitted, Refused, or TtfwdError if no answer comes."""
    path = rundir.socket_path(instance)
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
            raise NotRunning(instance, rundir.running()) from None
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

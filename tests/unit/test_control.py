# SPDX-License-Identifier: Apache-2.0
"""What a request gets when the supervisor itself is at fault. All else: tests/process/test_control.py."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from forwarder.control import rpc


def test_a_defect_ends_the_request_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def broken(method: str, params: dict[str, Any]) -> Any:
        raise AttributeError("nothing has no such thing")

    with caplog.at_level(logging.ERROR, logger="ttfwd"):
        reply = rpc.answer(b'{"jsonrpc": "2.0", "id": 1, "method": "connect"}', broken)
    assert reply is not None
    error = json.loads(reply)["error"]
    assert (error["code"], error["data"]) == (rpc.FAILED, {"exit_code": 1})
    assert error["message"] == "connect: internal error, see the instance's log"
    assert "nothing has no such thing" in caplog.text

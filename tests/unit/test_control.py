# SPDX-License-Identifier: Apache-2.0
"""Requests to a supervisor that has a bug or isn't ready. Other requests: tests/process/test_control.py."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from forwarder import rundir
from forwarder.control import rpc
from forwarder.control.client import call
from forwarder.errors import NotRunning


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


def test_an_instance_that_serves_no_requests_yet_is_not_said_to_be_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TTFWD_RUNTIME_DIR", str(tmp_path))
    with pytest.raises(NotRunning, match=r'^instance "lab" is not running \(running: none\)$'):
        call("lab", "status", {})
    with (
        rundir.hold("lab"),
        pytest.raises(NotRunning, match=r'^instance "lab" does not answer: it is starting or stopping$'),
    ):
        call("lab", "status", {})

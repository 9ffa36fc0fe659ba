# SPDX-License-Identifier: Apache-2.0
"""The end of an instance: what can't be removed mustn't keep the rest."""

from __future__ import annotations

import errno
from contextlib import ExitStack
from typing import NoReturn

import pytest

from forwarder.errors import DeviceError
from forwarder.supervisor.closing import Closing


def test_every_step_is_done_whatever_another_did(caplog: pytest.LogCaptureFixture) -> None:
    done: list[str] = []

    def fail(error: Exception) -> NoReturn:
        raise error

    closing = Closing()
    with ExitStack() as stack:
        closing.later(stack, "the last", lambda: done.append("the last"))
        closing.later(stack, "a file", lambda: fail(OSError(errno.EROFS, "Read-only file system")))
        closing.later(stack, "a port", lambda: fail(DeviceError("no such device")))
        closing.step("the first", lambda: done.append("the first"))
    assert done == ["the first", "the last"]
    assert closing.failed == ["a port", "a file"]
    assert "a file: Read-only file system" in caplog.text
    assert "a port: no such device" in caplog.text

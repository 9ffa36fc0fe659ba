# SPDX-License-Identifier: Apache-2.0
"""What journald is sent: a line and its fields. What it doesn't take at once is lost, and nothing else."""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from logging_journald import JournaldTransport

from forwarder import journald
from forwarder.logs import about


@pytest.fixture
def socket_of_journald(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    path = tmp_path / "socket"
    monkeypatch.setattr(JournaldTransport, "SOCKET_PATH", path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
        sock.bind(str(path))
        yield sock


def record(
    text: str, *arguments: object, level: int = logging.ERROR, fields: dict[str, object] | None = None
) -> logging.LogRecord:
    found = logging.LogRecord("ttfwd", level, __file__, 1, text, arguments, None)
    found.__dict__.update(fields or {})
    return found


def test_a_line_has_fields(socket_of_journald: socket.socket) -> None:
    handler = journald.Handler("lab")
    fields = about(worker=2, reason="signal SIGKILL")
    handler.handle(record("worker %d died: %s", 2, "signal SIGKILL", fields=fields))
    assert socket_of_journald.recv(4096).decode().splitlines() == [
        *("MESSAGE=worker 2 died: signal SIGKILL", "PRIORITY=3", "SYSLOG_IDENTIFIER=ttfwd", "INSTANCE=lab"),
        *("WORKER=2", "REASON=signal SIGKILL"),
    ]
    handler.handle(record("port p0: up", level=logging.INFO, fields=about(port="p0")))
    lines = socket_of_journald.recv(4096).decode().splitlines()
    assert {"PRIORITY=6", "PORT=p0"} <= set(lines)
    assert not any(line.startswith("WORKER=") for line in lines)


def test_a_line_with_a_newline_or_with_bytes_that_are_no_text_is_one_entry(
    socket_of_journald: socket.socket,
) -> None:
    handler = journald.Handler("lab")
    handler.handle(record("two\nPORT=forged"))
    text = b"two\nPORT=forged"
    assert socket_of_journald.recv(4096).startswith(
        b"MESSAGE\n" + len(text).to_bytes(8, sys.byteorder) + text
    )
    handler.handle(record("file %s", os.fsdecode(b"\xff")))
    assert socket_of_journald.recv(4096).startswith(b"MESSAGE=file \\udcff\n")


@pytest.mark.slow
def test_nobody_waits_for_a_journald_that_hangs_or_is_gone(
    socket_of_journald: socket.socket, capsys: pytest.CaptureFixture[str]
) -> None:
    handler = journald.Handler("lab")
    for _ in range(2000):  # more than its queue takes
        handler.handle(record("a line"))
    socket_of_journald.close()
    handler.handle(record("a line"))
    assert capsys.readouterr() == ("", "")


def test_stderr_is_recognized_by_its_device_and_inode(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with (tmp_path / "stderr").open("w") as stderr:
        monkeypatch.setattr(sys, "stderr", stderr)
        found = os.fstat(stderr.fileno())
        for stream, is_it in (
            (f"{found.st_dev}:{found.st_ino}", True),
            (f"{found.st_dev}:{found.st_ino + 1}", False),
            ("", False),
            ("malformed", False),
        ):
            monkeypatch.setenv("JOURNAL_STREAM", stream)
            assert journald.gets_stderr() is is_it
        monkeypatch.delenv("JOURNAL_STREAM")
        assert not journald.gets_stderr()

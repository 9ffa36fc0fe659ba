# SPDX-License-Identifier: Apache-2.0
"""Runs a command on its own terminal (a pty): typing, resizing, reading the screen, hanging up."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

ROWS, COLUMNS = 60, 160
TIMEOUT_S = 60.0
CTRL_C = "\x03"

# Control sequences (ECMA-48): CSI ... final byte, OSC ... BEL, and two-character ones.
_CONTROL = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07]*\x07|[@-Z\\^_=>78])")


class Terminal:
    """`shown`: all output so far, without colours and cursor movements."""

    def __init__(self, command: Sequence[str | Path], environment: dict[str, str]) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        unset = ("NO_COLOR", "COLUMNS", "LINES")  # the terminal's size counts
        environment = {key: value for key, value in environment.items() if key not in unset}
        try:
            self.process = subprocess.Popen(
                [str(word) for word in command],
                stdin=slave,
                stdout=slave,
                stderr=slave,
                env={**environment, "TERM": "xterm-256color"},
                start_new_session=True,
                preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            )
        finally:
            os.close(slave)
        self._raw = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.hang_up()
        self.process.wait(TIMEOUT_S)
        if error is not None:
            error.add_note(f"on the terminal:\n{self.shown[-4000:]}")

    @property
    def shown(self) -> str:
        return _CONTROL.sub("", self.raw)

    @property
    def raw(self) -> str:
        return self._raw.decode(errors="replace")

    def _read(self, timeout_s: float) -> bool:
        """Read output for up to the timeout. False at the end."""
        if self._master < 0:
            return False
        if select.select([self._master], [], [], timeout_s)[0]:
            try:
                data = os.read(self._master, 65536)
            except OSError:  # EIO: no process has the other side open
                return False
            self._raw += data
            return bool(data)
        return True

    def wait_for(self, text: str, after: int = 0) -> None:
        """Wait until `text` is shown after the first `after` characters."""
        deadline = time.monotonic() + TIMEOUT_S
        while text not in self.shown[after:]:
            assert self._read(0.1), f"ended before it showed {text!r}"
            assert time.monotonic() < deadline, f"{text!r} is not shown"

    def look(self) -> None:
        """Read all output that is there or comes at once."""
        self._read(0.02)

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def hang_up(self) -> None:
        """Close the terminal's window: the kernel sends SIGHUP, and writes to it fail."""
        if self._master >= 0:
            os.close(self._master)
            self._master = -1

    def wait(self) -> int:
        """Read output until the command ends. Returns its exit code."""
        deadline = time.monotonic() + TIMEOUT_S
        while self._read(0.1):
            assert time.monotonic() < deadline, "does not end"
        return self.process.wait(TIMEOUT_S)

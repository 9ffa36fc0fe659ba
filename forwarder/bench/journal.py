# SPDX-License-Identifier: Apache-2.0
"""The trials of a run, a line each in trials.jsonl: kept as soon as they are made.

A line that can't be written whole is taken back, so that the file stays readable, and ends the measurement.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Self

from forwarder.bench.tally import Tally
from forwarder.errors import TtfwdError
from forwarder.results.model import Trial

NAME = "trials.jsonl"


class CannotWrite(TtfwdError):
    """A file of the result."""

    def __init__(self, path: Path, error: OSError) -> None:
        super().__init__(f"{path}: {error.strerror}")


class Journal:
    """Made new: there must be no file of its name. Raises CannotWrite."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / NAME
        self.tally = Tally()
        self._end = 0  # of the last whole line
        try:
            self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise CannotWrite(self._path, error) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        os.close(self._fd)

    @property
    def next_number(self) -> int:
        return self.tally.counted + self.tally.void + 1

    def add(self, trial: Trial) -> None:
        """Write it, and hand it to the kernel: it outlives this process. Raises CannotWrite."""
        line = trial.model_dump_json().encode() + b"\n"
        try:
            write_at(self._fd, self._end, line)
        except BaseException as error:
            os.ftruncate(self._fd, self._end)
            if isinstance(error, OSError):
                raise CannotWrite(self._path, error) from None
            raise
        self._end += len(line)
        self.tally.add(trial)


def write_at(fd: int, offset: int, content: bytes) -> None:
    """All of it. Raises OSError."""
    written = 0
    while written < len(content):
        written += os.pwrite(fd, content[written:], offset + written)

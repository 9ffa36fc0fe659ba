# SPDX-License-Identifier: Apache-2.0
"""The directory of a result: trials.jsonl grows, result.json appears whole at the end.

The room for result.json is taken at the beginning. So a disk that fills up during the measurement ends it
with an error, and what was measured until then is still written.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from forwarder.bench.journal import NAME, CannotWrite, Journal, write_at
from forwarder.errors import NotPermitted, UsageError
from forwarder.results.model import Result

RESULT = "result.json"
_RESERVED_BYTES = 4 << 20
_RESERVE = f".{RESULT}"


class ResultDirectory:
    """`with ResultDirectory(path) as directory:`. It is made if it isn't there.

    Raises UsageError if it holds a result already, NotPermitted, CannotWrite. Without a trial, nothing stays.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        for name in (RESULT, NAME):
            if (path / name).exists():
                raise UsageError(f"{path}: holds {name} of another measurement; name another directory")
        self._made = [each for each in (path, *path.parents) if not each.exists()]
        self._reserve = path / _RESERVE
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(self._reserve, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        except PermissionError as error:
            raise NotPermitted(f"{path}: {error.strerror}") from None
        except OSError as error:
            raise CannotWrite(path, error) from None
        try:
            os.posix_fallocate(self._fd, 0, _RESERVED_BYTES)
            self.journal = Journal(path)
        except OSError as error:
            self._abandon()
            raise CannotWrite(path, error) from None
        except CannotWrite:
            self._abandon()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self.journal:
            pass
        if self.journal.next_number == 1 and not (self.path / RESULT).exists():
            (self.path / NAME).unlink(missing_ok=True)
        self._abandon()

    def write(self, result: Result) -> Path:
        """result.json, whole or not at all. Raises CannotWrite."""
        path = self.path / RESULT
        content = result.model_dump_json(indent=1).encode() + b"\n"
        try:
            write_at(self._fd, 0, content)
            os.ftruncate(self._fd, len(content))
            os.fsync(self._fd)
            self._reserve.rename(path)
        except OSError as error:
            raise CannotWrite(path, error) from None
        return path

    def _abandon(self) -> None:
        """Give back what only the measurement needed."""
        os.close(self._fd)
        self._reserve.unlink(missing_ok=True)
        with suppress(OSError):  # one holds something
            for directory in self._made:
                directory.rmdir()

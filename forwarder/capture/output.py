# SPDX-License-Identifier: Apache-2.0
"""Where a capture goes: standard output, a file, or files that take turns.

Guarantees that a file holds whole blocks after each flush, also if the disk is full. What it can't take is an
error that names the file.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from forwarder.errors import TtfwdError

_FLUSH_BYTES = 256 << 10
_FLUSH_S = 0.2


@dataclass(frozen=True)
class Rotation:
    """When a new file begins. None: never for that reason."""

    most_bytes: int | None = None
    most_s: float | None = None
    files: int | None = None  # so many are kept; None: all

    @property
    def wanted(self) -> bool:
        return self.most_bytes is not None or self.most_s is not None


NO_ROTATION = Rotation()


class Output:
    """One file after the other. `begin` and `end` return what each begins and ends with."""

    def __init__(
        self, path: Path | None, rotation: Rotation, begin: Callable[[], bytes], end: Callable[[], bytes]
    ) -> None:
        """`path`: None for standard output. Raises TtfwdError."""
        self._path = path
        self._rotation = rotation
        self._begin, self._end = begin, end
        self._made: list[Path] = []
        self._number = 0
        self._fd, self._name, self._is_file = 1, "standard output", False
        self._written = 0
        self._buffer = bytearray()
        self._opened_at = self._flushed_at = 0.0  # CLOCK_MONOTONIC, seconds
        self._open()

    def turn_when_due(self) -> None:
        """Begin the next file, if it is time: before the block for it is made. Raises what write() does."""
        if self._is_due():
            self.close()
            self._open()

    def write(self, block: bytes) -> None:
        """Raises TtfwdError; BrokenPipeError if nobody reads any more."""
        self._buffer += block
        if len(self._buffer) >= _FLUSH_BYTES:
            self.flush()

    def flush_when_due(self) -> None:
        """Readers of the file see what is older than a moment."""
        if self._buffer and time.monotonic() - self._flushed_at > _FLUSH_S:
            self.flush()

    def flush(self) -> None:
        data = bytes(self._buffer)
        written = 0
        try:
            while written < len(data):
                written += os.write(self._fd, data[written:])
        except BrokenPipeError:
            raise
        except OSError as error:
            if self._is_file:
                os.ftruncate(self._fd, self._written)
            raise TtfwdError(f"{self._name}: can't be written: {error.strerror}") from None
        self._written += written
        self._buffer.clear()
        self._flushed_at = time.monotonic()

    def close(self) -> None:
        """Complete the last file. Raises what write() does."""
        self._buffer += self._end()
        self.flush()
        self.abandon()

    def abandon(self) -> None:
        """Close the file as it is, if there is one."""
        if self._path is not None and self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _is_due(self) -> bool:
        rotation = self._rotation
        size = self._written + len(self._buffer)
        return (rotation.most_bytes is not None and size >= rotation.most_bytes) or (
            rotation.most_s is not None and time.monotonic() - self._opened_at >= rotation.most_s
        )

    def _open(self) -> None:
        self._written = 0
        self._opened_at = self._flushed_at = time.monotonic()
        self._buffer = bytearray(self._begin())
        if self._path is None:
            return
        path = self._next_path(self._path)
        self._name = str(path)
        try:
            # Packets are nobody else's to read.
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise TtfwdError(f"{path}: can't be written: {error.strerror}") from None
        self._is_file = stat.S_ISREG(os.fstat(self._fd).st_mode)
        self._made.append(path)
        if self._rotation.files is not None and len(self._made) > self._rotation.files:
            self._made.pop(0).unlink(missing_ok=True)

    def _next_path(self, path: Path) -> Path:
        """name.pcapng, or name_00001_20261127160000.pcapng and so on."""
        if not self._rotation.wanted:
            return path
        self._number += 1
        moment = time.strftime("%Y%m%d%H%M%S")
        return path.with_name(f"{path.stem}_{self._number:05}_{moment}{path.suffix}")

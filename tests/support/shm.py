# SPDX-License-Identifier: Apache-2.0
"""The shared memory segments of an instance: those in /dev/shm, and those without a name."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from forwarder.native import lib
from tests.support.processes import open_files

_SHM = Path("/dev/shm")


def segments_of(instance: str) -> list[str]:
    """The names of the segments that an instance has now."""
    return sorted(path.name for path in _SHM.glob(f"ttfwd.{instance}.*"))


def remove_segments(instance: str) -> None:
    for name in segments_of(instance):
        (_SHM / name).unlink(missing_ok=True)


def memory_of(pid: int, what: str) -> list[Path]:
    """The memfds that a process has open and whose name has `what` in it, each once."""
    found: dict[int, Path] = {}
    for number, file in open_files(pid).items():
        if file.startswith("/memfd:ttfwd ") and what in file:
            path = Path(f"/proc/{pid}/fd/{number}")
            found.setdefault(path.stat().st_ino, path)
    return list(found.values())


@contextmanager
def writable_stats(instance: str) -> Iterator[Any]:
    """The first byte of an instance's stats segment, for writing as a worker that goes astray would."""
    with (_SHM / f"ttfwd.{instance}.stats").open("r+b") as file:
        size_bytes = os.fstat(file.fileno()).st_size
        base = lib.ttf_map(file.fileno(), size_bytes, True)
    yield base
    lib.ttf_unmap(base, size_bytes)

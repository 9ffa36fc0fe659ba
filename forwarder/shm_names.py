# SPDX-License-Identifier: Apache-2.0
"""The names of shared memory: which are an instance's, and which only look like it.

Any user may make files of any name in /dev/shm. One counts as an instance's only if it is a regular file of a
user who may run that instance. What belongs to anybody else is neither opened nor removed.
"""

import os
import re
import stat
from collections.abc import Collection, Iterator
from pathlib import Path

SHM_DIRECTORY = Path("/dev/shm")  # where Linux shows POSIX shared memory

_STATS = re.compile(r"ttfwd\.([^.]+)(\.[0-9a-f]{8})?\.stats")


def stats_name(instance: str) -> str:
    return f"/ttfwd.{instance}.stats"


def spare_stats_name(instance: str) -> str:
    """For an instance whose first name is taken. Nobody can guess it."""
    return f"/ttfwd.{instance}.{os.urandom(4).hex()}.stats"


def find_stats(instance: str, owners: Collection[int]) -> str | None:
    """The name of an instance's stats segment, if one of these users has one. The caller's comes first."""
    found = {name: uid for named, name, uid in _stats() if named == instance and uid in owners}
    return min(found, key=lambda name: (found[name] != os.geteuid(), len(name)), default=None)


def instances(owners: Collection[int]) -> tuple[str, ...]:
    """The instances that have a stats segment of one of these users, sorted."""
    return tuple(sorted({instance for instance, _, uid in _stats() if uid in owners}))


def made_by_us(instance: str) -> tuple[str, ...]:
    """The instance's segments that this user made, sorted."""
    found = SHM_DIRECTORY.glob(f"ttfwd.{instance}.*")
    return tuple(sorted(f"/{path.name}" for path in found if _owner(path) == os.geteuid()))


def open_segment(name: str, flags: int, owners: Collection[int]) -> int:
    """Open a segment of one of these users. Never blocks. Raises OSError, also for any other file."""
    fd = os.open(SHM_DIRECTORY / name[1:], flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode) or found.st_uid not in owners:
        os.close(fd)
        raise PermissionError(0, f"it belongs to user {found.st_uid}, or is no regular file", name)
    return fd


def _stats() -> Iterator[tuple[str, str, int]]:
    """Instance, name and owner of everything that is named like a stats segment."""
    try:
        paths = list(SHM_DIRECTORY.iterdir())
    except OSError:
        return
    for path in paths:
        match = _STATS.fullmatch(path.name)
        uid = _owner(path) if match else None
        if match and uid is not None:
            yield match[1], f"/{path.name}", uid


def _owner(path: Path) -> int | None:
    """The owner of a regular file, None for anything else."""
    try:
        found = path.lstat()
    except OSError:  # gone since
        return None
    return found.st_uid if stat.S_ISREG(found.st_mode) else None

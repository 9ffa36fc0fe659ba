# SPDX-License-Identifier: Apache-2.0
"""The user that an instance's workers run as: one that nobody else uses, for as long as the instance runs.

It has no name. Its number comes from a range that Linux distributions leave unused
(systemd's UIDS-GIDS.md), and it is claimed by a lock on one byte of a file, which the kernel releases when
the supervisor dies. The group has the same number.
"""

import errno
import fcntl
import grp
import logging
import os
import pwd
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path

import psutil

from forwarder.errors import listed

CLAIMS = Path("/run/ttfwd/users")  # also of instances whose runtime directory is another one
UNUSED = range(60706, 61184)
STAY = 0  # workers keep the supervisor's user
_TRIES = 2000
_PROC = Path("/proc/self")
# What it takes to start a process as another user, and to end it, as linux/capability.h numbers it.
_CAPABILITIES = {5: "CAP_KILL", 6: "CAP_SETGID", 7: "CAP_SETUID"}

log = logging.getLogger("ttfwd")


@contextmanager
def claimed(instance: str) -> Iterator[int]:
    """A user for the workers of an instance, its own until the end of the block; STAY if there is none."""
    if os.geteuid() != 0:
        yield STAY  # an ordinary user's workers can't be anybody else
        return
    fd = _open_claims()
    try:
        user = _claim(fd, instance)
        if user == STAY:
            why = f"without {listed(missing)}" if (missing := _missing()) else "a user namespace?"
            log.warning("workers run as this user: no other one can be used here (%s)", why)
        yield user
    finally:
        if fd is not None:
            os.close(fd)


def _open_claims() -> int | None:
    try:
        CLAIMS.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        return os.open(CLAIMS, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        log.warning("%s: %s: another instance may use the same user for its workers", CLAIMS, error.strerror)
        return None


def _claim(fd: int | None, instance: str) -> int:
    if _missing():
        return STAY
    busy = _users_of_processes()
    for user in islice(_candidates(instance), _TRIES):
        if user not in busy and not _has_name(user) and (fd is None or _lock(fd, user)):
            return user
    return STAY


def _missing() -> list[str]:
    """The capabilities that it takes and this process hasn't."""
    lines = (_PROC / "status").read_text().splitlines()
    has = next(int(line.split()[1], 16) for line in lines if line.startswith("CapEff:"))
    return [name for number, name in _CAPABILITIES.items() if not has >> number & 1]


def _candidates(instance: str) -> Iterator[int]:
    """Users that this user namespace knows: of the unused range, else of the others, highest first."""
    users, groups = _mapped("uid_map"), _mapped("gid_map")
    # Containers that share a kernel don't share the file of claims: each begins elsewhere.
    start = zlib.crc32(f"{instance} {os.stat(_PROC / 'ns/pid').st_ino}".encode()) % len(UNUSED)
    preferred = chain(UNUSED[start:], UNUSED[:start])
    others = chain.from_iterable(reversed(span) for span in reversed(users))
    for user in chain(preferred, others):
        if user > 0 and any(user in span for span in users) and any(user in span for span in groups):
            yield user


def _mapped(name: str) -> list[range]:
    spans = []
    for line in (_PROC / name).read_text().splitlines():
        inside, _, count = map(int, line.split())
        spans.append(range(inside, min(inside + count, 65534)))  # above: nobody, and no user
    return spans


def _users_of_processes() -> set[int]:
    found: set[int] = set()
    for process in psutil.process_iter():
        try:
            found.update(process.uids())
        except psutil.Error:
            continue  # it has ended
    return found


def _has_name(user: int) -> bool:
    for database in (pwd.getpwuid, grp.getgrgid):
        try:
            database(user)
        except KeyError:
            continue
        return True
    return False


def _lock(fd: int, user: int) -> bool:
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, user)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN):
            return False
        raise
    return True

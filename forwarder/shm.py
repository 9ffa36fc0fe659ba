# SPDX-License-Identifier: Apache-2.0
"""POSIX shared memory segments of an instance: create, attach, check, sweep, unlink.

A segment's layout is that of native/abi.h; its header is checked before anything else in it is believed.
"""

import errno
import fcntl
import logging
import mmap
import os
from pathlib import Path
from typing import Any, Self

import posix_ipc

from forwarder.errors import AlreadyRunning, NotPermitted, TtfwdError
from forwarder.native import ffi, lib

log = logging.getLogger("ttfwd")

SHM_DIRECTORY = Path("/dev/shm")  # where Linux shows POSIX shared memory


def stats_name(instance: str) -> str:
    return f"/ttfwd.{instance}.stats"


def rings_name(instance: str) -> str:
    return f"/ttfwd.{instance}.rings"


def frames_name(instance: str, worker: int) -> str:
    return f"/ttfwd.{instance}.frames.{worker}"


class Segment:
    """One mapped segment; `base` is its first byte as a C pointer, valid until close()."""

    def __init__(self, name: str, fd: int, size_bytes: int, owned: bool = False) -> None:
        self.name = name
        self.size_bytes = size_bytes
        self._lock_fd = -1
        try:
            self._map = mmap.mmap(fd, size_bytes)
            if owned:
                fcntl.flock(fd, fcntl.LOCK_EX)
                fd, self._lock_fd = -1, fd
        finally:
            if fd >= 0:
                os.close(fd)
        self._buffer = ffi.from_buffer(self._map, require_writable=True)
        self.base: Any = ffi.cast("void *", self._buffer)

    @classmethod
    def create(cls, name: str, size_bytes: int) -> Self:
        """A new, zeroed segment of mode 0600, locked for as long as this process has it open.

        Raises TtfwdError when the name is taken.
        """
        try:
            memory = posix_ipc.SharedMemory(name, posix_ipc.O_CREX, mode=0o600, size=size_bytes)
        except posix_ipc.ExistentialError:
            raise TtfwdError(f"shared memory {name} exists already and isn't ours to remove") from None
        except posix_ipc.PermissionsError:
            raise NotPermitted(f"shared memory {name} can't be made: not permitted") from None
        except OSError as error:  # no room, no file descriptor, a read-only file system
            raise TtfwdError(f"shared memory {name} can't be made: {error.strerror or error}") from None
        try:
            return cls(name, memory.fd, size_bytes, owned=True)
        except BaseException:
            unlink(name)
            raise

    @classmethod
    def attach(cls, name: str, magic: int) -> Self:
        """An existing segment, its header checked. Raises TtfwdError, naming what is wrong."""
        try:
            memory = posix_ipc.SharedMemory(name)
        except posix_ipc.ExistentialError:
            raise TtfwdError(f"shared memory {name} doesn't exist") from None
        except posix_ipc.PermissionsError:
            raise NotPermitted(f"shared memory {name} can't be opened: not permitted") from None
        segment = cls(name, memory.fd, os.fstat(memory.fd).st_size)
        result = lib.ttf_header_check(segment.base, segment.size_bytes, magic)
        if result < 0:
            segment.close()
            raise TtfwdError(f"shared memory {name} is not usable: {os.strerror(-result)}")
        return segment

    def close(self) -> None:
        self.base = ffi.NULL
        ffi.release(self._buffer)
        self._map.close()
        if self._lock_fd >= 0:
            os.close(self._lock_fd)


def unlink(name: str) -> bool:
    """Remove a segment's name; processes that map it keep it. False if there was none."""
    try:
        posix_ipc.unlink_shared_memory(name)
    except posix_ipc.ExistentialError:
        return False
    except OSError as error:
        raise TtfwdError(f"shared memory {name} can't be removed: {error.strerror or error}") from None
    return True


def names_of(instance: str) -> tuple[str, ...]:
    """The instance's segments that exist."""
    found = (*SHM_DIRECTORY.glob(f"ttfwd.{instance}.*"),)
    return tuple(sorted(f"/{path.name}" for path in found))


def sweep(instance: str) -> tuple[str, ...]:
    """Remove what a crash left behind.

    Raises AlreadyRunning when a living process owns it: an instance of the same name whose runtime
    directory is another one.
    """
    names = names_of(instance)
    for name in names:
        if _owned(name):
            raise AlreadyRunning(f"shared memory {name} belongs to an instance that runs elsewhere")
    return tuple(name for name in names if unlink(name))


def _owned(name: str) -> bool:
    try:
        fd = os.open(SHM_DIRECTORY / name[1:], os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise NotPermitted(f"shared memory {name}: {error.strerror}") from None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def require_room(least_bytes: int, most_bytes: int) -> None:
    """Where the first touch of a page would kill a process (SIGBUS): refuse to start with less than the one,
    warn of less than the other."""
    try:
        room = os.statvfs(SHM_DIRECTORY)
    except OSError as error:
        if error.errno == errno.ENOENT:
            return
        raise
    free_bytes = room.f_bavail * room.f_frsize
    has = f"{SHM_DIRECTORY} has {free_bytes >> 20} MiB free"
    remedy = f"mount -o remount,size=... {SHM_DIRECTORY}"
    if free_bytes < least_bytes:
        raise TtfwdError(f"{has} and the instance needs {least_bytes >> 20} MiB; {remedy}")
    if free_bytes < most_bytes:
        log.warning(
            "%s; with its rings full of 64 KiB segments the instance needs %d MiB, and a worker that finds "
            "none is killed: %s, fewer ring_slots, or offload = false",
            has,
            most_bytes >> 20,
            remedy,
        )

# SPDX-License-Identifier: Apache-2.0
"""Shared-memory segments of an instance (POSIX): create, attach, check, sweep, unlink.

A segment's layout is that of native/abi.h; its header is checked before anything else in it is used.
"""

import errno
import fcntl
import logging
import mmap
import os
from pathlib import Path
from typing import Self

import posix_ipc

from forwarder.errors import AlreadyRunning, NotPermitted, SegmentError, SegmentMissing
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

    def __init__(self, name: str, memory: mmap.mmap | bytearray, lock_fd: int = -1) -> None:
        """Takes over `memory` and `lock_fd`; close() lets go of both."""
        self.name = name
        self.size_bytes = len(memory)
        self._memory = memory
        self._lock_fd = lock_fd
        self._buffer = ffi.from_buffer(memory)
        self.base = ffi.cast("void *", self._buffer)

    @classmethod
    def create(cls, name: str, size_bytes: int) -> Self:
        """A new, zeroed segment of mode 0600, locked for as long as this process has it open.

        Raises SegmentError when the name is taken.
        """
        try:
            shared = posix_ipc.SharedMemory(name, posix_ipc.O_CREX, mode=0o600, size=size_bytes)
        except posix_ipc.ExistentialError:
            raise SegmentError(f"shared memory {name} exists already and isn't ours to remove") from None
        except posix_ipc.PermissionsError:
            raise NotPermitted(f"shared memory {name} can't be made: not permitted") from None
        except OSError as error:  # no room, no file descriptor, a read-only file system
            raise SegmentError(f"shared memory {name} can't be made: {error.strerror or error}") from None
        try:
            fcntl.flock(shared.fd, fcntl.LOCK_EX)
            return cls(name, mmap.mmap(shared.fd, size_bytes), shared.fd)
        except BaseException:
            shared.close_fd()
            unlink(name)
            raise

    @classmethod
    def attach(cls, name: str, magic: int, *, readonly: bool = False) -> Self:
        """An existing segment, its header checked.

        Raises SegmentMissing, NotPermitted, or SegmentError for one that can't be used, naming why.
        """
        try:
            shared = posix_ipc.SharedMemory(name, read_only=readonly)
        except posix_ipc.ExistentialError:
            raise SegmentMissing(f"shared memory {name} doesn't exist") from None
        except posix_ipc.PermissionsError:
            raise NotPermitted(f"shared memory {name}: not permitted; only its owner may use it") from None
        except (OSError, ValueError) as error:  # ValueError: a name that can't be one
            raise SegmentError(f"shared memory {name}: {error}") from None
        try:
            access = mmap.ACCESS_READ if readonly else mmap.ACCESS_WRITE
            segment = cls(name, mmap.mmap(shared.fd, 0, access=access))
        except ValueError:  # created, but not yet given its size
            raise SegmentError(f"shared memory {name}: too small: its instance is still starting") from None
        except OSError as error:
            raise SegmentError(f"shared memory {name}: {error.strerror or error}") from None
        finally:
            shared.close_fd()
        try:
            segment.check(magic)
        except SegmentError:
            segment.close()
            raise
        return segment

    def check(self, magic: int) -> None:
        """Raises SegmentError unless this is a segment of that kind, whole, and of this ABI version."""
        if self.size_bytes < ffi.sizeof("struct ttf_header"):
            raise SegmentError(f"shared memory {self.name}: too small: {self.size_bytes} bytes")
        if lib.ttf_header_check(self.base, self.size_bytes, magic) != 0:
            raise SegmentError(f"shared memory {self.name}: {self._fault(magic)}")

    def _fault(self, magic: int) -> str:
        header = ffi.cast("struct ttf_header *", self.base)
        if header.magic == 0:
            return "its instance is still starting"
        if header.magic != magic:
            return "not a segment of this kind (wrong magic)"
        if header.abi_version != lib.TTF_ABI_VERSION:
            return (
                f"its instance has ABI version {header.abi_version}, this ttfwd has version "
                f"{lib.TTF_ABI_VERSION}; use the ttfwd that started it"
            )
        if header.total_bytes > self.size_bytes:
            return f"too small: {self.size_bytes} bytes of {header.total_bytes}"
        return "its header contradicts itself; the segment was damaged"

    def close(self) -> None:
        """Unmap. May be called twice."""
        self.base = ffi.NULL
        ffi.release(self._buffer)
        if isinstance(self._memory, mmap.mmap):
            self._memory.close()
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1


def unlink(name: str) -> bool:
    """Remove a segment's name; processes that map it keep it. False if there was none."""
    try:
        posix_ipc.unlink_shared_memory(name)
    except posix_ipc.ExistentialError:
        return False
    except OSError as error:
        raise SegmentError(f"shared memory {name} can't be removed: {error.strerror or error}") from None
    return True


def names_of(instance: str) -> tuple[str, ...]:
    """The instance's segments that exist."""
    found = (*SHM_DIRECTORY.glob(f"ttfwd.{instance}.*"),)
    return tuple(sorted(f"/{path.name}" for path in found))


def sweep(instance: str) -> tuple[str, ...]:
    """Remove the segments that a crash left behind. Returns their names.

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
    """Check the room for segments. Their pages are allocated when they are first touched, and a process that
    finds no room then is killed (SIGBUS).

    Raises SegmentError below `least_bytes`, which small packets need; warns below `most_bytes`, which full
    handoff rings of GSO frames need.
    """
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
        raise SegmentError(f"{has} and the instance needs {least_bytes >> 20} MiB; {remedy}")
    if free_bytes < most_bytes:
        log.warning(
            "%s; the instance needs %d MiB when its rings are full of 64 KiB GSO frames, and a worker that "
            "finds no room is killed: %s, use fewer ring_slots, or set offload = false",
            has,
            most_bytes >> 20,
            remedy,
        )

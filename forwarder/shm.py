# SPDX-License-Identifier: Apache-2.0
"""Shared-memory segments of an instance: create, attach, check, sweep, unlink.

Two kinds. The stats segment is POSIX shared memory: readers find it by its name. Everything else is a memfd,
which has no name, goes by itself with the last process that has it, and takes no room in /dev/shm. The
supervisor passes descriptors of both to its workers.

Guarantees that pages are allocated before anybody writes to them, or the segment isn't made; that the size
of a memfd never changes (seals); and that no mapping keeps a descriptor. A segment's layout is that of
native/abi.h; its header is checked before anything else in it is used.
"""

import fcntl
import logging
import mmap
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

import posix_ipc
import psutil

from forwarder.errors import AlreadyRunning, NotPermitted, SegmentError, SegmentMissing, SegmentNameTaken
from forwarder.native import ffi, lib
from forwarder.shm_names import made_by_us, open_segment

if TYPE_CHECKING:
    from forwarder.native import CData

log = logging.getLogger("ttfwd")


class Segment:
    """One mapped segment; `base` is its first byte as a C pointer, valid until close()."""

    def __init__(self, name: str, base: "CData", size_bytes: int, fd: int = -1) -> None:
        """Takes over the mapping at `base` and `fd`; close() lets go of both."""
        self.name = name
        self.base = base
        self.size_bytes = size_bytes
        self.fd = fd

    @classmethod
    def create(cls, name: str, size_bytes: int) -> Self:
        """A new, zeroed segment of mode 0600, locked for as long as this process has it open.

        Raises SegmentNameTaken, NotPermitted, or SegmentError when there is no room for all of it.
        """
        try:
            shared = posix_ipc.SharedMemory(name, posix_ipc.O_CREX, mode=0o600)
        except posix_ipc.ExistentialError:
            raise SegmentNameTaken(f"shared memory {name} exists already and isn't ours to remove") from None
        except posix_ipc.PermissionsError:
            raise NotPermitted(f"shared memory {name} can't be made: not permitted") from None
        except OSError as error:  # no room, no file descriptor, a read-only file system
            raise SegmentError(f"shared memory {name} can't be made: {error.strerror or error}") from None
        try:
            fcntl.flock(shared.fd, fcntl.LOCK_EX)
            with _making(f"shared memory {name}", size_bytes):
                os.posix_fallocate(shared.fd, 0, size_bytes)
                return cls(name, _map(shared.fd, size_bytes, True), size_bytes, shared.fd)
        except BaseException:
            shared.close_fd()
            unlink(name)
            raise

    @classmethod
    def attach(cls, name: str, magic: int, owners: Collection[int] = ()) -> Self:
        """An existing segment, mapped read-only, its header checked. It belongs to us or to `owners`.

        Raises SegmentMissing, NotPermitted, or SegmentError for one that can't be used, naming why.
        """
        try:
            fd = open_segment(name, os.O_RDONLY, {os.geteuid(), *owners})
        except FileNotFoundError:
            raise SegmentMissing(f"shared memory {name} doesn't exist") from None
        except PermissionError as error:
            raise NotPermitted(f"shared memory {name}: {error.strerror}") from None
        except (OSError, ValueError) as error:  # ValueError: a name that can't be one
            raise SegmentError(f"shared memory {name}: {error}") from None
        try:
            size_bytes = os.fstat(fd).st_size
            if not size_bytes:  # created, but not yet given its size
                raise SegmentError(f"shared memory {name}: too small: its instance is still starting")
            segment = cls(name, _map(fd, size_bytes, False), size_bytes)
        except OSError as error:
            raise SegmentError(f"shared memory {name}: {error.strerror or error}") from None
        finally:
            os.close(fd)
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
        if self.base != ffi.NULL:
            lib.ttf_unmap(self.base, self.size_bytes)
            self.base = ffi.NULL
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def _map(fd: int, size_bytes: int, writable: bool) -> "CData":
    base = lib.ttf_map(fd, size_bytes, writable)
    if base == ffi.NULL:
        raise OSError(ffi.errno, os.strerror(ffi.errno))
    return base


@contextmanager
def _making(what: str, size_bytes: int) -> Iterator[None]:
    """Raises SegmentError for an OSError."""
    try:
        yield
    except OSError as error:
        why = f"{error.strerror or error}; it needs {-(-size_bytes >> 10)} KiB"
        raise SegmentError(f"{what} can't be made: {why}") from None


def sealed_memory(what: str, size_bytes: int) -> int:
    """A memfd whose size can't change any more. Returns its descriptor.

    Raises SegmentError, which calls it by `what`.
    """
    with _making(what, size_bytes):
        fd = os.memfd_create(f"ttfwd {what}", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.fchmod(fd, 0o600)  # or others could open it anew through /proc
            os.ftruncate(fd, size_bytes)
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
        except BaseException:
            os.close(fd)
            raise
    return fd


def allocate(what: str, fd: int, offset: int, size_bytes: int) -> None:
    """Allocate pages of a memfd. Raises SegmentError."""
    with _making(what, size_bytes):
        os.posix_fallocate(fd, offset, size_bytes)


def release(fd: int, offset: int, size_bytes: int) -> None:
    """Give whole pages of a memfd back: they are zero until somebody writes there. Raises OSError."""
    with mmap.mmap(fd, offset + size_bytes) as mapping:
        mapping.madvise(mmap.MADV_REMOVE, offset, size_bytes)


def map_memory(what: str, fd: int, size_bytes: int) -> Segment:
    """Map a memfd, and take over its descriptor. Raises SegmentError."""
    with _making(what, size_bytes):
        return Segment(what, _map(fd, size_bytes, True), size_bytes, fd)


def read_only(what: str, fd: int) -> int:
    """Another descriptor of a segment, which can't be written through. Raises SegmentError."""
    try:
        return os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise SegmentError(f"{what} can't be opened through /proc: {error.strerror}") from None


def unlink(name: str) -> bool:
    """Remove a segment's name; processes that map it keep it. False if there was none."""
    try:
        posix_ipc.unlink_shared_memory(name)
    except posix_ipc.ExistentialError:
        return False
    except OSError as error:
        raise SegmentError(f"shared memory {name} can't be removed: {error.strerror or error}") from None
    return True


def sweep(instance: str) -> tuple[str, ...]:
    """Remove the segment that a crash left behind. Returns the names of what was removed.

    Raises AlreadyRunning when a living process owns it: an instance of the same name whose runtime
    directory is another one.
    """
    names = made_by_us(instance)
    for name in names:
        if _owned(name):
            raise AlreadyRunning(f"shared memory {name} belongs to an instance that runs elsewhere")
    return tuple(name for name in names if unlink(name))


def _owned(name: str) -> bool:
    try:
        fd = open_segment(name, os.O_RDONLY, {os.geteuid()})
    except FileNotFoundError:
        return False
    except OSError as error:
        raise NotPermitted(f"shared memory {name}: {error.strerror}") from None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def warn_of_little_memory(most_bytes: int) -> None:
    """Warn when fewer than `most_bytes` are available, which full handoff rings of GSO frames need.

    Frames are allocated when they are first used: a process that finds no memory then is ended by the kernel.
    """
    available_bytes = psutil.virtual_memory().available
    if available_bytes < most_bytes:
        log.warning(
            "%d MiB of memory are available; the instance needs %d MiB when its rings are full of 64 KiB GSO "
            "frames, and the kernel ends processes that find none: use fewer ring_slots, or offload = false",
            available_bytes >> 20,
            most_bytes >> 20,
        )

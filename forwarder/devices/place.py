# SPDX-License-Identifier: Apache-2.0
"""A network namespace, known by its identity: its name may stand for another one tomorrow.

An identity is the namespace's cookie (SO_NETNS_COOKIE: no other namespace gets it before the machine
reboots), its inode, and the boot that both belong to. Kernels before Linux 5.14 have no cookie. There the
inode has to do, which the kernel uses again. A Place keeps its namespace open, and enters no other one.
"""

import errno
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from pydantic import BaseModel
from pyroute2 import netns

from forwarder import capabilities
from forwarder.errors import DeviceError, NotPermitted, TtfwdError

DIRECTORY = Path(netns.NETNS_RUN_DIR)  # where iproute2 keeps the names of network namespaces
OF_THIS_THREAD = Path("/proc/thread-self/ns/net")
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_SO_NETNS_COOKIE = 71
_COOKIE_BYTES = 8


class Identity(BaseModel, frozen=True, extra="forbid", strict=True):
    """Tells a network namespace from every other one that there was, is or will be."""

    boot: str
    inode: int
    cookie: int  # 0: the kernel has none

    @property
    def key(self) -> str:
        """A part of a file name that no other namespace of this boot has."""
        return f"{self.inode}-{self.cookie}"


@cache
def boot_id() -> str:
    return _BOOT_ID.read_text().strip()


class _Fd:
    """An open file, closed when nothing refers to it any more."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __del__(self) -> None:
        os.close(self.number)


@dataclass(frozen=True)
class Place:
    """A namespace, and the name by which it was found: None for the one that the process started in.

    The namespace is open for as long as something refers to its place.
    """

    name: str | None
    identity: Identity
    _fd: _Fd | None = field(default=None, compare=False, repr=False)

    @classmethod
    def of_this_thread(cls, name: str | None) -> "Place":
        """The namespace that this thread is in; `name` is its name. This needs no privilege."""
        fd = _Fd(os.open(OF_THIS_THREAD, os.O_RDONLY | os.O_CLOEXEC))
        return cls(name, _identity_of_this_thread(fd), fd)

    @classmethod
    def named(cls, name: str | None) -> "Place":
        """The namespace that has the name now. Raises DeviceError when there is none, and NotPermitted."""
        if name is None:
            return cls.of_this_thread(None)
        try:
            fd = _Fd(os.open(DIRECTORY / name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
            with here():
                netns.setns(fd.number, flags=0)
                return cls(name, _identity_of_this_thread(fd), fd)
        except OSError as error:
            raise _failure(name, error) from None

    @classmethod
    def of_fd(cls, number: int) -> "Place":
        """The namespace of an fd, which stays the caller's. Raises DeviceError, NotPermitted, OSError."""
        fd = _Fd(os.dup(number))
        found = inode_of(os.fstat(number))
        if found == inode_of(os.stat(OF_THIS_THREAD)):
            return cls.of_this_thread(None)
        name = _name_of(found) or f"net:[{found[1]}]"  # as the kernel shows one that has no name here
        with here():
            try:
                netns.setns(number, flags=0)
            except OSError as error:
                raise _failure(name, error) from None
            return cls(name, _identity_of_this_thread(fd), fd)

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Run the body with this thread in the namespace. Raises DeviceError, NotPermitted."""
        if self.name is None:
            yield
            return
        with here():
            try:
                netns.setns(self._number, flags=0)
            except OSError as error:
                raise _failure(self.name, error) from None
            yield

    @property
    def _number(self) -> int:
        assert self._fd is not None, "this place was never open"
        return self._fd.number

    @property
    def inode(self) -> tuple[int, int]:
        """Its device and inode: while it is open, no other namespace has them."""
        return inode_of(os.fstat(self._number))

    def has_its_name(self) -> bool:
        """Does the name still stand for this namespace?"""
        try:
            return inode_of(os.stat(DIRECTORY / (self.name or ""))) == self.inode
        except OSError:
            return False

    @property
    def shown(self) -> str:
        return self.name or "host"


def _name_of(inode: tuple[int, int]) -> str | None:
    """The name of a namespace, None if it has none."""
    with suppress(OSError):  # no namespace has a name
        for path in DIRECTORY.iterdir():
            with suppress(OSError):  # removed meanwhile
                if inode_of(path.stat()) == inode:
                    return path.name
    return None


def inode_of(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


@contextmanager
def here() -> Iterator[None]:
    """Whatever namespace the body enters, this thread comes back to the present one. Raises OSError."""
    home = os.open(OF_THIS_THREAD, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield
    finally:
        try:
            if inode_of(os.stat(OF_THIS_THREAD)) != inode_of(os.fstat(home)):
                netns.setns(home)
        finally:
            os.close(home)


def _identity_of_this_thread(fd: _Fd) -> Identity:
    """`fd`: of the namespace that this thread is in."""
    return Identity(boot=boot_id(), inode=os.fstat(fd.number).st_ino, cookie=_cookie())


def _cookie() -> int:
    """The cookie of the namespace that this thread is in: a socket stays in the one that it was made in."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        try:
            found = sock.getsockopt(socket.SOL_SOCKET, _SO_NETNS_COOKIE, _COOKIE_BYTES)
        except OSError as error:
            if error.errno != errno.ENOPROTOOPT:
                raise
            return 0
    return int.from_bytes(found, sys.byteorder)


def _failure(name: str, error: OSError) -> TtfwdError:
    what = f'network namespace "{name}" can\'t be entered'
    if error.errno in (errno.EPERM, errno.EACCES):
        return NotPermitted(f"{what}: {capabilities.refusal(capabilities.CAP_SYS_ADMIN)}")
    if error.errno == errno.ENOENT:
        return DeviceError(f'network namespace "{name}" doesn\'t exist')
    return DeviceError(f"{what}: {os.strerror(error.errno or 0)}")

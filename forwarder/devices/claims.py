# SPDX-License-Identifier: Apache-2.0
"""What instances on this machine tell each other: who has a packet device, and who has ports in a namespace.

A claim is an empty file, locked by the supervisor that holds it. The kernel releases it when that process
dies. The file's name says what is claimed, by identity, and by which instance. A file that nobody locks is
left over, and the next instance removes it. Claims are made, and acted on, by one process at a time: the one
that holds the door.

All instances of root use one directory, also with different runtime directories. Other users see each
other's claims only if they share a runtime directory; the same goes for containers.
"""

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from forwarder import filelock, rundir
from forwarder.devices.place import Place
from forwarder.errors import DeviceError

_OF_ROOT = Path("/run/ttfwd/claims")
_OPEN = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_DOOR = "door"
_DOOR_TIMEOUT_S = 5.0  # it is held for a moment, unless its holder hangs


class Claims:
    """The claims of one instance."""

    def __init__(self, instance: str) -> None:
        self._instance = instance
        self._directory: Path | None = None
        self._swept = False
        self._held: dict[str, int] = {}  # the fd of each file, by what it claims

    @contextmanager
    def door(self) -> Iterator[None]:
        """While the body runs, no other instance claims anything, nor acts on claims. Raises DeviceError."""
        try:
            fd = self._open_door()
        except OSError as error:
            raise DeviceError(f"{error.filename}: {error.strerror}") from None
        try:
            self._lock_door(fd)
            self._sweep()
            yield
        finally:
            os.close(fd)

    def claim_device(self, port: str, place: Place, ifindex: int) -> None:
        """Have a packet device for this instance alone. Raises DeviceError, with the name of who has it."""
        what = _device(place, ifindex)
        with self.door():
            for holder in self._holders(what):
                raise DeviceError(f'port "{port}": instance "{holder}" forwards its packets already')
            self._claim(what)

    def release_device(self, place: Place, ifindex: int) -> None:
        self._release(_device(place, ifindex))

    def claim_namespace(self, place: Place) -> None:
        """Say that this instance has ports there. Call with the door held. Raises DeviceError."""
        self._claim(_namespace(place))

    def release_namespace(self, place: Place) -> None:
        self._release(_namespace(place))

    def others_in(self, place: Place) -> tuple[str, ...]:
        """The other instances that have ports in a namespace. Call with the door held."""
        return tuple(sorted(set(self._holders(_namespace(place))) - {self._instance}))

    def close(self) -> None:
        for what in tuple(self._held):
            self._release(what)

    # ------------------------------------------------------------------------------------- files

    def _open_door(self) -> int:
        """Raises OSError."""
        if self._directory is None:
            self._directory = _directory()
        return os.open(self._directory / _DOOR, _OPEN, 0o600)

    def _sweep(self) -> None:
        """The first time: remove the claims of the dead."""
        if self._swept:
            return
        self._swept = True
        assert self._directory is not None
        for path in self._directory.iterdir():
            if path.name != _DOOR and not _is_held(path):
                with suppress(OSError):
                    path.unlink()

    @staticmethod
    def _lock_door(fd: int) -> None:
        deadline = time.monotonic() + _DOOR_TIMEOUT_S
        while not filelock.take(fd):
            if time.monotonic() > deadline:
                raise DeviceError(
                    f"another instance has been making or removing a port for {_DOOR_TIMEOUT_S:.0f} s"
                )
            time.sleep(0.005)

    def _path(self, what: str, instance: str) -> Path:
        assert self._directory is not None, "the door was never opened"
        return self._directory / f"{what}.{instance}"

    def _claim(self, what: str) -> None:
        path = self._path(what, self._instance)
        try:
            fd = os.open(path, _OPEN, 0o600)
        except OSError as error:
            raise DeviceError(f"{path}: {error.strerror}") from None
        if not filelock.take(fd):
            os.close(fd)
            raise DeviceError(f'another instance "{self._instance}" runs elsewhere: it holds {path}')
        self._held[what] = fd

    def _release(self, what: str) -> None:
        fd = self._held.pop(what, None)
        if fd is not None:
            with suppress(OSError):  # a file that can't be removed is nobody's once it is closed
                self._path(what, self._instance).unlink()
            os.close(fd)

    def _holders(self, what: str) -> Iterator[str]:
        """The instances that claim it, this one included."""
        for path in self._path(what, "*").parent.glob(f"{what}.*"):
            if _is_held(path):
                yield path.suffix[1:]


def _device(place: Place, ifindex: int) -> str:
    return f"{place.identity.key}.{ifindex}"


def _namespace(place: Place) -> str:
    return f"{place.identity.key}.ports"


def _is_held(path: Path) -> bool:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:  # released meanwhile
        return False
    try:
        return filelock.is_held(fd)
    finally:
        os.close(fd)


def _directory() -> Path:
    """Where claims are: where root may not write in /run, in the runtime directory. Raises OSError."""
    in_runtime_directory = rundir.directory() / "claims"
    if os.geteuid() != 0:
        _make(in_runtime_directory)
        return in_runtime_directory
    try:
        _make(_OF_ROOT)
        return _OF_ROOT
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
    _make(in_runtime_directory)
    return in_runtime_directory


def _make(directory: Path) -> None:
    directory.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    directory.mkdir(mode=0o700, exist_ok=True)
    if not os.access(directory, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(directory))

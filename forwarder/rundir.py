# SPDX-License-Identifier: Apache-2.0
"""The runtime directory: an instance's lock, socket, journal and log; which instances run.

An instance runs exactly while its lock is held. Nobody but its owner can put a file or a link in the place of
one that is in the directory.
"""

import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from forwarder import filelock
from forwarder.errors import AlreadyRunning, NotPermitted, NotRunning, TtfwdError, listed

ROOT = 0
_LONGEST_SOCKET_PATH_BYTES = 107  # unix(7)
_LONGEST_HOLDER_BYTES = 256


def directory() -> Path:
    """`/run/ttfwd` for root, else `$XDG_RUNTIME_DIR/ttfwd`; TTFWD_RUNTIME_DIR overrides both."""
    override = os.environ.get("TTFWD_RUNTIME_DIR")
    if override:
        return Path(override).absolute()
    if os.geteuid() == ROOT:
        return Path("/run/ttfwd")
    return Path(os.environ.get("XDG_RUNTIME_DIR") or _private_directory()) / "ttfwd"


def _private_directory() -> Path:
    """For a user without XDG_RUNTIME_DIR. Anybody can guess its name: it counts only if it is the user's."""
    return Path(f"/tmp/ttfwd-{os.geteuid()}")


def _checked_directories() -> tuple[Path, ...]:
    """The runtime directory, and above it the one that anybody could have made first."""
    path = directory()
    return (path.parent, path) if path.parent == _private_directory() else (path,)


def prepare() -> None:
    """Make the runtime directory if it is missing. Raises NotPermitted unless it is ours alone."""
    for path in _checked_directories():
        try:
            path.mkdir(mode=0o755 if os.geteuid() == ROOT else 0o700, parents=True, exist_ok=True)
        except FileExistsError:
            pass  # and not a directory, as the check will say
        except PermissionError as error:
            raise NotPermitted(f"{error.filename}: can't be written: {error.strerror}") from None
        except OSError as error:
            raise TtfwdError(f"{error.filename}: {error.strerror}") from None
        _require_safe(path, {ROOT, os.geteuid()})


def _exists() -> bool:
    """Whether there is a runtime directory. Raises NotPermitted if what is in it can't be relied on."""
    owners = None if os.geteuid() == ROOT else {ROOT, os.geteuid()}  # root may look at any user's instances
    try:
        for path in _checked_directories():
            _require_safe(path, owners)
    except FileNotFoundError:
        return False
    return True


def _require_safe(path: Path, owners: set[int] | None) -> None:
    """Raises NotPermitted unless it is a directory of one of these users (None: of any) that nobody else can
    write in, and FileNotFoundError.
    """
    remedy = "remove it, or set TTFWD_RUNTIME_DIR"
    try:
        found = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(path) from None
    except OSError as error:
        raise NotPermitted(f"runtime directory {path}: {error.strerror}") from None
    if not stat.S_ISDIR(found.st_mode):
        what = "a link" if stat.S_ISLNK(found.st_mode) else "no directory"
        raise NotPermitted(f"runtime directory {path}: it is {what}; {remedy}")
    if owners is not None and found.st_uid not in owners:
        raise NotPermitted(f"runtime directory {path}: it belongs to user {found.st_uid}; {remedy}")
    # In a sticky directory others can make files, but not replace ours. We make none: a user may have one.
    chosen = bool(found.st_mode & stat.S_ISVTX and os.environ.get("TTFWD_RUNTIME_DIR"))
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not chosen:
        mode = stat.S_IMODE(found.st_mode)
        raise NotPermitted(
            f"runtime directory {path}: others can write in it (mode {mode:04o}); chmod go-w it"
        )


def owners() -> frozenset[int]:
    """The users whose files can be an instance's: root, the caller, and for root the directory's owner."""
    found = {ROOT, os.geteuid()}
    if os.geteuid() == ROOT:
        with suppress(OSError):
            found.add(os.lstat(directory()).st_uid)
    return frozenset(found)


def socket_path(instance: str) -> Path:
    return directory() / f"{instance}.sock"


def log_path(instance: str) -> Path:
    return directory() / f"{instance}.log"


def _lock_path(instance: str) -> Path:
    return directory() / f"{instance}.lock"


def journal_path(instance: str) -> Path:
    return directory() / f"{instance}.journal"


def open_file(path: Path, flags: int) -> int:
    """Open a regular file of ours, made with mode 0600. Follows no link, never blocks. Raises OSError."""
    fd = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    found = os.fstat(fd)
    if stat.S_ISREG(found.st_mode) and found.st_uid in owners():
        return fd
    os.close(fd)
    what = f"it belongs to user {found.st_uid}" if stat.S_ISREG(found.st_mode) else "not a regular file"
    raise OSError(0, what, str(path))


# ------------------------------------------------------------------------------------------- the lock


@dataclass(frozen=True)
class Holder:
    """The supervisor that holds an instance's lock: its process, 0 if that can't be known."""

    pid: int = 0
    pid_namespace: int = 0  # inode of the PID namespace in which the process has this number

    def __str__(self) -> str:
        if not self.pid:
            return "an unknown process"
        elsewhere = "" if self.pid_namespace == pid_namespace() else " of another PID namespace"
        return f"process {self.pid}{elsewhere}"


def pid_namespace() -> int:
    """The inode of this process' PID namespace, 0 where /proc doesn't show it."""
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return 0


@contextmanager
def hold(instance: str) -> Iterator[None]:
    """Own the instance's name. Raises AlreadyRunning, naming the process and its socket."""
    path = socket_path(instance)
    if len(os.fsencode(path)) > _LONGEST_SOCKET_PATH_BYTES:
        raise TtfwdError(
            f"control socket {path}: {len(os.fsencode(path))} bytes are too many for its path: "
            f"at most {_LONGEST_SOCKET_PATH_BYTES}"
        )
    prepare()
    path = _lock_path(instance)
    try:
        fd = open_file(path, os.O_RDWR | os.O_CREAT)
    except PermissionError as error:
        raise NotPermitted(f"{path}: can't be written: {error.strerror}") from None
    except OSError as error:
        raise TtfwdError(f"{path}: {error.strerror}") from None
    try:
        _take(fd, instance, path)
        yield
    finally:
        os.close(fd)


def _take(fd: int, instance: str, path: Path) -> None:
    try:
        os.fchmod(fd, 0o600)  # others who can open it could lock it
        if not filelock.take(fd):
            raise _already_running(instance, _holder(fd))
        os.ftruncate(fd, 0)
        os.pwrite(fd, json.dumps({"pid": os.getpid(), "pid_namespace": pid_namespace()}).encode(), 0)
    except OSError as error:  # no room, a file size limit
        raise TtfwdError(f"{path}: {error.strerror}") from None


def _already_running(instance: str, holder: Holder) -> AlreadyRunning:
    return AlreadyRunning(
        f'instance "{instance}" is already running: {holder}, control socket '
        f"{socket_path(instance)} (ttfwd stop --name {instance} ends it)"
    )


def check_free(instance: str) -> None:
    """Raises AlreadyRunning, as hold() would, if somebody owns the name."""
    found = holder(instance)
    if found is not None:
        raise _already_running(instance, found)


def _holder(fd: int) -> Holder:
    try:
        found = json.loads(os.pread(fd, _LONGEST_HOLDER_BYTES, 0))
        return Holder(int(found["pid"]), int(found["pid_namespace"]))
    except (OSError, ValueError, KeyError, TypeError):  # it has just been taken
        return Holder()


def holder(instance: str) -> Holder | None:
    """Who holds the instance's lock, None if nobody does. Raises NotPermitted.

    To a user who may not read the lock, an instance with a control socket counts as running.
    """
    if not _exists():
        return None
    try:
        fd = open_file(_lock_path(instance), os.O_RDONLY)
    except PermissionError:
        return Holder() if socket_path(instance).exists() else None
    except (OSError, ValueError):  # ValueError: a name that can't be one
        return None
    try:
        return _holder(fd) if filelock.is_held(fd) else None
    finally:
        os.close(fd)


def running() -> tuple[str, ...]:
    """The instances whose supervisor lives, sorted. Raises NotPermitted."""
    if not _exists():
        return ()
    return tuple(sorted(p.stem for p in directory().glob("*.lock") if holder(p.stem) is not None))


def the_instance(name: str | None, candidates: tuple[str, ...]) -> str:
    """`name`, or the only candidate.

    Raises NotRunning if `name` isn't a candidate or if there are none, TtfwdError if there are several.
    """
    if name is not None:
        if name not in candidates:
            raise NotRunning(name, candidates)
        return name
    if not candidates:
        raise NotRunning(None)
    if len(candidates) > 1:
        raise TtfwdError(f"more than one instance is running, choose one with --name: {listed(candidates)}")
    return candidates[0]

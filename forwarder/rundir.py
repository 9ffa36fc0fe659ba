# SPDX-License-Identifier: Apache-2.0
"""The runtime directory: an instance's lock, socket, journal and log; which instances run.

An instance runs exactly while its lock is held. The kernel releases the lock when the supervisor
dies, however it dies.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from forwarder.errors import AlreadyRunning, NotPermitted, NotRunning, TtfwdError, listed


def directory() -> Path:
    """`/run/ttfwd` for root, else `$XDG_RUNTIME_DIR/ttfwd`; TTFWD_RUNTIME_DIR overrides both."""
    override = os.environ.get("TTFWD_RUNTIME_DIR")
    if override:
        return Path(override)
    if os.geteuid() == 0:
        return Path("/run/ttfwd")
    return Path(os.environ.get("XDG_RUNTIME_DIR", f"/tmp/ttfwd-{os.getuid()}")) / "ttfwd"


def socket_path(instance: str) -> Path:
    return directory() / f"{instance}.sock"


def log_path(instance: str) -> Path:
    return directory() / f"{instance}.log"


def _lock_path(instance: str) -> Path:
    return directory() / f"{instance}.lock"


def journal_path(instance: str) -> Path:
    return directory() / f"{instance}.journal"


@contextmanager
def hold(instance: str) -> Iterator[None]:
    """Own the instance's name. Raises AlreadyRunning, naming the process and its socket."""
    try:
        directory().mkdir(mode=0o755, parents=True, exist_ok=True)
        fd = os.open(_lock_path(instance), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except PermissionError as error:
        raise NotPermitted(f"{error.filename}: can't be written: {error.strerror}") from None
    except OSError as error:
        raise TtfwdError(f"{error.filename}: {error.strerror}") from None
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _already_running(instance, _owner(fd)) from None
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(fd)


def _already_running(instance: str, pid: str) -> AlreadyRunning:
    return AlreadyRunning(
        f'instance "{instance}" is already running: process {pid}, control socket '
        f"{socket_path(instance)} (ttfwd stop --name {instance} ends it)"
    )


def check_free(instance: str) -> None:
    """Raises AlreadyRunning, as hold() would, if somebody owns the name."""
    pid = owner(instance)
    if pid is not None:
        raise _already_running(instance, str(pid))


def _owner(fd: int) -> str:
    return os.pread(fd, 32, 0).decode(errors="replace").strip() or "unknown"


def owner(instance: str) -> int | None:
    """The pid of the supervisor that holds the instance's lock, None if nobody does."""
    try:
        fd = os.open(_lock_path(instance), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = _owner(fd)
        return int(pid) if pid.isdigit() else None
    else:
        return None
    finally:
        os.close(fd)


def running() -> tuple[str, ...]:
    """The instances whose supervisor lives, sorted."""
    return tuple(sorted(p.stem for p in directory().glob("*.lock") if owner(p.stem) is not None))


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

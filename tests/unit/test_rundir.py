# SPDX-License-Identifier: Apache-2.0
"""The runtime directory and the lock in it. Who can write in the directory can put a link or a socket in the
place of ours. Who can lock the lock can keep an instance from starting."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from forwarder import filelock, rundir
from forwarder.errors import AlreadyRunning, NotPermitted, TtfwdError


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "run"
    monkeypatch.setenv("TTFWD_RUNTIME_DIR", str(path))
    return path


@pytest.fixture
def guessable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of a user without XDG_RUNTIME_DIR, whose name anybody can guess."""
    monkeypatch.delenv("TTFWD_RUNTIME_DIR", raising=False)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    path = tmp_path / "ttfwd-1234"
    monkeypatch.setattr(rundir, "_private_directory", lambda: path)
    monkeypatch.setattr(rundir, "ROOT", -1)  # this user is not root
    return path


def test_a_user_without_a_runtime_directory_gets_a_private_one(guessable: Path) -> None:
    rundir.prepare()
    assert rundir.directory() == guessable / "ttfwd"
    assert stat.S_IMODE(guessable.lstat().st_mode) == 0o700


def link_to_own_directory(path: Path) -> None:
    (path.parent / "own").mkdir(exist_ok=True)
    path.symlink_to("own")


def link_to_nothing(path: Path) -> None:
    path.symlink_to("nothing")


def open_to_all(path: Path) -> None:
    path.mkdir()
    path.chmod(0o777)


def open_to_the_group(path: Path) -> None:
    path.mkdir()
    path.chmod(0o770)


@pytest.mark.parametrize(
    "make", [link_to_own_directory, link_to_nothing, open_to_all, open_to_the_group, Path.touch]
)
def test_a_directory_that_is_not_ours_alone_is_refused_and_left_alone(
    directory: Path, guessable: Path, make: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    make(guessable)
    before = guessable.lstat()
    with pytest.raises(NotPermitted, match=str(guessable)):
        rundir.prepare()
    with pytest.raises(NotPermitted, match=str(guessable)):
        rundir.holder("lab")
    assert guessable.lstat().st_mode == before.st_mode
    assert not (guessable / "ttfwd").exists()
    make(directory)
    monkeypatch.setenv("TTFWD_RUNTIME_DIR", str(directory))
    with pytest.raises(NotPermitted, match=str(directory)), rundir.hold("lab"):
        pass


@pytest.mark.parametrize("look", [rundir.prepare, rundir.running])
def test_a_directory_of_another_user_is_refused(
    guessable: Path, look: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    guessable.mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: 4321)
    with pytest.raises(NotPermitted, match=f"{guessable}: it belongs to user {os.getuid()}"):
        look()


def test_a_sticky_directory_is_taken_if_it_is_named(directory: Path) -> None:
    directory.mkdir()
    directory.chmod(0o1777)
    with rundir.hold("lab"):
        assert rundir.running() == ("lab",)


def test_a_lock_of_another_user_is_refused(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory.mkdir(mode=0o755)
    (directory / "lab.lock").touch()
    monkeypatch.setattr(rundir, "owners", lambda: frozenset())
    refused = f"{directory}/lab.lock: it belongs to user {os.getuid()}"
    with pytest.raises(TtfwdError, match=refused), rundir.hold("lab"):
        pass
    assert rundir.holder("lab") is None


def test_without_a_runtime_directory_nothing_runs_and_none_is_made(directory: Path) -> None:
    assert rundir.running() == ()
    assert rundir.holder("lab") is None
    assert not directory.exists()


def test_an_instance_runs_exactly_while_its_lock_is_held(directory: Path) -> None:
    with rundir.hold("lab"):
        assert rundir.running() == ("lab",)
        assert str(rundir.holder("lab")) == f"process {os.getpid()}"
        refused = f'"lab" is already running: process {os.getpid()}, control socket {directory}/lab.sock'
        with pytest.raises(AlreadyRunning, match=refused), rundir.hold("lab"):
            pass
        with pytest.raises(AlreadyRunning, match=refused):
            rundir.check_free("lab")
    assert rundir.running() == ()
    rundir.check_free("lab")


def test_asking_who_runs_keeps_nobody_from_starting(directory: Path) -> None:
    rundir.prepare()
    fd = rundir.open_file(directory / "lab.lock", os.O_RDWR | os.O_CREAT)
    assert not filelock.is_held(fd)
    with rundir.hold("lab"):
        assert filelock.is_held(fd)
    os.close(fd)


def test_the_process_of_another_pid_namespace_is_not_taken_for_one_of_ours(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with rundir.hold("lab"):
        monkeypatch.setattr(rundir, "pid_namespace", lambda: 1)
        assert str(rundir.holder("lab")) == f"process {os.getpid()} of another PID namespace"


def test_a_lock_that_anybody_could_read_is_closed_to_them_and_taken(directory: Path) -> None:
    directory.mkdir()
    path = directory / "lab.lock"
    path.write_text("4711\n")
    path.chmod(0o644)
    with path.open() as stranger:
        fcntl.flock(stranger, fcntl.LOCK_EX)
        with rundir.hold("lab"):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, lambda path: path.symlink_to("other")])
def test_a_lock_that_is_no_file_is_named_and_never_waited_for(
    directory: Path, make: Callable[[Path], None]
) -> None:
    directory.mkdir()
    make(directory / "lab.lock")
    with pytest.raises(TtfwdError, match=f"{directory}/lab.lock: "), rundir.hold("lab"):
        pass
    assert rundir.holder("lab") is None
    assert not (directory / "other").exists()


def test_a_socket_path_is_as_long_in_bytes_as_the_kernel_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("ä" * 60)
    monkeypatch.setenv("TTFWD_RUNTIME_DIR", str(deep))
    refused = rf"control socket {deep}/lab.sock: \d+ bytes .* at most 107"
    with pytest.raises(TtfwdError, match=refused), rundir.hold("lab"):
        pass
    assert not deep.exists()

# SPDX-License-Identifier: Apache-2.0
"""Workers get a user that nobody else uses, if there is one."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable
from pathlib import Path

import pytest

from forwarder.supervisor import worker_user
from forwarder.supervisor.worker_user import STAY, UNUSED, claimed

EVERYBODY = "0 0 4294967295\n"
Claim = Callable[..., int]


@pytest.fixture
def claim(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Claim:
    """Claim a user in a process with these maps and capabilities, among processes of these users."""

    def claim(
        users: str = EVERYBODY,
        groups: str = EVERYBODY,
        capabilities: int = 0xE0,
        busy: frozenset[int] = frozenset(),
        euid: int = 0,
    ) -> int:
        (tmp_path / "uid_map").write_text(users)
        (tmp_path / "gid_map").write_text(groups)
        (tmp_path / "status").write_text(f"Name:\tttfwd\nCapEff:\t{capabilities:016x}\n")
        (tmp_path / "ns").mkdir(exist_ok=True)
        (tmp_path / "ns/pid").touch()
        monkeypatch.setattr(worker_user, "_PROC", tmp_path)
        monkeypatch.setattr(worker_user, "CLAIMS", tmp_path / "run/users")
        monkeypatch.setattr(worker_user, "_users_of_processes", lambda: set(busy))
        monkeypatch.setattr(os, "geteuid", lambda: euid)
        with claimed("lab") as user:
            return user

    return claim


def test_the_user_is_one_that_nobody_has(claim: Claim) -> None:
    first = claim()
    assert first in UNUSED
    second = claim(busy=frozenset({first}))
    assert second in UNUSED
    assert second != first


def test_a_user_of_the_system_is_never_taken(claim: Claim, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = claim()

    def getpwuid(user: int) -> object:
        if user == taken:
            return object()
        raise KeyError

    monkeypatch.setattr(pwd, "getpwuid", getpwuid)
    assert claim() != taken


def test_a_user_namespace_gives_one_that_it_knows(claim: Claim) -> None:
    found = claim(users="0 100000 1000\n", groups="0 100000 900\n")
    assert STAY < found < 900


@pytest.mark.parametrize(
    "without",
    [
        {"users": "0 1000 1\n", "groups": "0 1000 1\n"},  # unshare --map-root-user
        {"users": "0 100000 1000\n", "groups": "0 1000 1\n"},
        {"capabilities": 0xC0},  # no CAP_KILL: it couldn't end its workers
        {"euid": 1000},
    ],
    ids=str,
)
def test_without_another_user_workers_keep_theirs(claim: Claim, without: dict[str, object]) -> None:
    assert claim(**without) == STAY


def test_a_directory_that_can_not_be_written_is_no_obstacle(claim: Claim, tmp_path: Path) -> None:
    (tmp_path / "run").touch()
    assert claim() in UNUSED

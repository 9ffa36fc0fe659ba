# SPDX-License-Identifier: Apache-2.0
"""What an instance writes down before it makes it. A start that can't read it must say so, not forget it."""

from __future__ import annotations

import errno
import logging
import os
from pathlib import Path
from typing import NoReturn

import pytest

from forwarder.devices.claims import Claims
from forwarder.devices.journal import ChangedDevice, Journal, MadeNamespace, read
from forwarder.devices.place import Identity
from forwarder.devices.sweep import sweep
from forwarder.errors import TtfwdError

LAB = Identity(boot="a-boot", inode=4026532000, cookie=7)
NAMESPACE = MadeNamespace(name="lab", identity=LAB)
DEVICE = ChangedDevice(
    name="eth1",
    netns=None,
    identity=LAB,
    ifindex=5,
    mac=("02:00:00:00:00:01", "02:00:00:00:00:02"),
    mtu=(9000, 1500),
    raised=True,
    addresses=("10.0.0.1/24",),
)


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TTFWD_RUNTIME_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No room for what is renamed over the journal."""

    def no_room(*_: object) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "replace", no_room)
    return monkeypatch


def test_the_next_start_knows_what_the_last_one_made() -> None:
    journal = Journal("one")
    journal.add(NAMESPACE)
    journal.add(DEVICE)
    again = Journal("one")
    assert again.entries == (NAMESPACE, DEVICE)
    assert again.namespace(LAB) == NAMESPACE
    assert again.namespace(Identity(boot="a-boot", inode=LAB.inode, cookie=8)) is None
    again.remove(NAMESPACE)
    assert read("one") == (DEVICE,)


def test_a_journal_of_nothing_is_no_file(directory: Path) -> None:
    journal = Journal("one")
    journal.add(NAMESPACE)
    journal.remove(NAMESPACE)
    journal.close()
    assert list(directory.iterdir()) == []


def test_what_cant_be_written_down_mustnt_be_made(directory: Path, full: pytest.MonkeyPatch) -> None:
    journal = Journal("one")
    with pytest.raises(TtfwdError, match=r"one\.journal: No space left on device"):
        journal.add(NAMESPACE)
    assert journal.entries == ()
    assert list(directory.iterdir()) == []


def test_a_removal_that_cant_be_written_down_stops_nothing(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    journal = Journal("one")
    journal.add(NAMESPACE)
    journal.add(DEVICE)
    request.getfixturevalue("full")
    journal.remove(NAMESPACE)
    assert journal.entries == (DEVICE,)
    assert "No space left on device" in caplog.text
    journal.remove(DEVICE)  # nothing left: the file goes, for which there is always room
    assert read("one") == ()


def test_what_others_use_isnt_left_behind() -> None:
    journal = Journal("one")
    journal.add(NAMESPACE)
    assert list(journal.left) == [NAMESPACE]
    journal.keep(NAMESPACE, "instance two")
    assert list(journal.left) == []
    journal.keep(NAMESPACE, None)
    assert list(journal.left) == [NAMESPACE]


def test_what_was_before_a_reboot_is_gone() -> None:
    journal = Journal("one")
    journal.add(NAMESPACE)
    journal.add(DEVICE)
    assert tuple(sweep(journal, Claims("one"))) == ()
    assert journal.entries == ()


def _as_text(text: str) -> object:
    return lambda path: path.write_text(text)


@pytest.mark.parametrize(
    "damage",
    [
        _as_text("{"),
        _as_text('[{"kind": "namespace", "name": "lab"}]'),
        _as_text('{"namespaces": ["lab"], "links_up": []}'),
        _as_text("[" * 100_000),
        lambda path: path.write_bytes(b"\xff\xfe"),
        lambda path: path.mkdir(),
        lambda path: os.mkfifo(path),
        lambda path: path.symlink_to("/dev/zero"),
    ],
)
def test_a_journal_that_cant_be_read_is_an_error_and_set_aside(
    damage: object, directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = directory / "one.journal"
    assert callable(damage)
    damage(path)
    with caplog.at_level(logging.ERROR, "ttfwd"):
        journal = Journal("one")
    assert "the journal is damaged" in caplog.text
    assert str(path) in caplog.text
    assert journal.entries == ()
    journal.add(NAMESPACE)
    assert Journal("one").entries == (NAMESPACE,)
    assert os.path.lexists(f"{path}.damaged")


def test_a_journal_of_another_user_isnt_believed(
    directory: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    Journal("one").add(NAMESPACE)
    owner = os.stat(directory / "one.journal").st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    if owner == 0:
        os.chown(directory / "one.journal", 12345, -1)
    assert Journal("one").entries == ()
    assert "it belongs to user" in caplog.text

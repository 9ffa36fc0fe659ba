# SPDX-License-Identifier: Apache-2.0
"""Instances tell each other what they use. Two that forwarded the same device would double every packet."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from forwarder.devices import claims
from forwarder.devices.claims import Claims
from forwarder.devices.place import Identity, Place
from forwarder.errors import DeviceError


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TTFWD_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(claims, "_OF_ROOT", tmp_path / "claims")
    return tmp_path / "claims"


def place(cookie: int) -> Place:
    return Place("lab", Identity(boot="a-boot", inode=4026532000, cookie=cookie))


HERE, ELSEWHERE = place(1), place(2)


def test_a_device_is_of_one_instance() -> None:
    one, two = Claims("one"), Claims("two")
    one.claim_device("eth1", HERE, 5)
    with pytest.raises(DeviceError, match='port "eth1": instance "one" forwards its packets already'):
        two.claim_device("eth1", HERE, 5)
    with pytest.raises(DeviceError, match='instance "one"'):  # by another name of the device
        one.claim_device("enp1", HERE, 5)
    two.claim_device("eth1", HERE, 6)
    two.claim_device("eth1", ELSEWHERE, 5)
    one.release_device(HERE, 5)
    two.claim_device("eth1", HERE, 5)


def test_the_claims_of_the_dead_are_gone(directory: Path) -> None:
    directory.mkdir()
    dead = directory / f"{HERE.identity.key}.5.dead"
    dead.touch()  # its lock went with its holder
    Claims("two").claim_device("eth1", HERE, 5)
    assert not dead.exists()


def test_others_are_seen_while_they_have_ports_in_a_namespace() -> None:
    one, two = Claims("one"), Claims("two")
    with one.door():
        one.claim_namespace(HERE)
    with two.door():
        assert two.others_in(HERE) == ("one",)
        assert two.others_in(ELSEWHERE) == ()
        two.claim_namespace(HERE)
        assert two.others_in(HERE) == ("one",)
    with one.door():
        one.release_namespace(HERE)
    with two.door():
        assert two.others_in(HERE) == ()


def test_who_waits_for_the_door_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "_DOOR_TIMEOUT_S", 0.05)
    with Claims("one").door(), pytest.raises(DeviceError, match="another instance"), Claims("two").door():
        pass


def test_root_of_a_container_may_not_write_in_run(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root of a user namespace, for one: then those who share the runtime directory see each other."""
    make = claims._make

    def forbid(path: Path) -> None:
        if path == forbidden:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        make(path)

    forbidden = directory.parent / "elsewhere"
    monkeypatch.setattr(claims, "_OF_ROOT", forbidden)
    monkeypatch.setattr(claims, "_make", forbid)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    Claims("one").claim_device("eth1", HERE, 5)
    assert [path.name for path in directory.glob("*.one")] == [f"{HERE.identity.key}.5.one"]


def test_nothing_is_left_of_claims_but_the_door(directory: Path) -> None:
    one = Claims("one")
    one.claim_device("eth1", HERE, 5)
    with one.door():
        one.claim_namespace(HERE)
    one.close()
    assert [path.name for path in directory.iterdir()] == ["door"]

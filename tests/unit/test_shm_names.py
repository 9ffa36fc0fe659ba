# SPDX-License-Identifier: Apache-2.0
"""Names in /dev/shm, where any user can make any file. A user who believes a stranger's would see made-up
figures, or wait for a pipe for ever; one who removes it removes what isn't his."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from forwarder import shm, shm_names
from forwarder.shm_names import find_stats, instances, made_by_us, open_segment

US = frozenset({os.geteuid()})
NOBODY = frozenset({-1})


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(shm_names, "SHM_DIRECTORY", tmp_path)
    return tmp_path


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, lambda path: path.symlink_to("/etc/passwd")])
def test_what_is_no_file_is_no_segment(directory: Path, make: Callable[[Path], None]) -> None:
    make(directory / "ttfwd.lab.stats")
    assert find_stats("lab", US) is None
    assert instances(US) == ()
    assert made_by_us("lab") == ()
    with pytest.raises(OSError, match="lab"):
        open_segment("/ttfwd.lab.stats", os.O_RDONLY, US)


def test_a_file_of_another_user_is_no_segment(directory: Path) -> None:
    (directory / "ttfwd.lab.stats").touch()
    assert find_stats("lab", NOBODY) is None
    assert instances(NOBODY) == ()
    with pytest.raises(PermissionError):
        open_segment("/ttfwd.lab.stats", os.O_RDONLY, NOBODY)


def test_a_spare_name_is_found_like_the_first(directory: Path) -> None:
    spare = shm_names.spare_stats_name("lab")
    (directory / spare[1:]).touch()
    for other in ("ttfwd.lab.12345678.rings", "ttfwd.lab2.stats", "ttfwd.a.b.stats", "ttfwd..stats"):
        (directory / other).touch()
    assert find_stats("lab", US) == spare
    assert instances(US) == ("lab", "lab2")
    assert spare in made_by_us("lab")


def test_the_first_name_is_preferred(directory: Path) -> None:
    (directory / shm_names.spare_stats_name("lab")[1:]).touch()
    (directory / "ttfwd.lab.stats").touch()
    assert find_stats("lab", US) == "/ttfwd.lab.stats"


def test_a_sweep_leaves_what_others_made(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (directory / "ttfwd.lab.stats").touch()
    monkeypatch.setattr(os, "geteuid", lambda: 4321)
    assert shm.sweep("lab") == ()
    assert (directory / "ttfwd.lab.stats").exists()

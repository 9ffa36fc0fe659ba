# SPDX-License-Identifier: Apache-2.0
"""The commands that a start prints. One that looks for a file where it isn't mounted fails."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from forwarder.cli import reach

HOST = """\
27 1 254:0 / / rw - ext4 /dev/vda rw
30 27 0:22 / /run rw shared:5 - tmpfs tmpfs rw
31 30 0:4 net:[40] /run/netns/left rw - nsfs nsfs rw
"""
NSENTER = f"nsenter --mount --target {os.getpid()} "


@pytest.mark.parametrize(
    ("ours", "path", "prefix"),
    [
        (HOST, "/run/netns/left", ""),
        (HOST + "99 30 0:4 net:[41] /run/netns/right rw - nsfs nsfs rw\n", "/run/netns/right", NSENTER),
        (HOST + "99 30 0:4 net:[41] /run/netns/right rw - nsfs nsfs rw\n", "/run/netns/left", ""),
        (HOST + "99 31 0:4 net:[41] /run/netns/left rw - nsfs nsfs rw\n", "/run/netns/left", NSENTER),
        (HOST + "99 27 0:50 / /run rw - tmpfs tmpfs rw\n", "/run/ttfwd/lab.sock", NSENTER),
        (HOST + "99 27 0:22 /ttfwd /run/ttfwd rw - tmpfs tmpfs rw\n", "/run/ttfwd/lab.sock", ""),
        (HOST + "99 27 0:50 / /runner rw - tmpfs tmpfs rw\n", "/run/ttfwd/lab.sock", ""),
    ],
    ids=range(7),  # the prefix has our own pid
)
def test_a_command_is_run_where_its_file_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ours: str, path: str, prefix: str
) -> None:
    for process, text in (("self", ours), ("1", HOST)):
        (tmp_path / process).mkdir()
        (tmp_path / process / "mountinfo").write_text(text)
    monkeypatch.setattr(reach, "PROC", tmp_path)
    assert reach.file(path) == prefix


def test_who_may_not_look_at_the_host_is_taken_to_be_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reach, "PROC", tmp_path)
    assert reach.file("/run/netns/left") == reach.devices() == ""

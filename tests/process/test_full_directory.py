# SPDX-License-Identifier: Apache-2.0
"""The runtime directory has no room: what can't be written down isn't made, and everything else goes on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.commands import ip, run, unique
from tests.support.full import SmallDisk, small_disk
from tests.support.instance import TTFWD, instance, start_fails
from tests.support.netns import namespace_exists, remove_namespace


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "run") as found:
        yield found


@pytest.fixture
def made() -> Iterator[str]:
    name = unique("tm")
    yield name
    remove_namespace(name)


def tap(netns: str) -> str:
    return f'queues = 1\nmode = "rxonly"\n[[port]]\nname = "t0"\ndriver = "tap"\nnetns = "{netns}"\n'


def test_every_step_with_a_full_directory(disk: SmallDisk, made: str) -> None:
    other = unique("tm")
    with instance(tap(made), runtime_directory=disk.path) as it:
        disk.fill()
        refused = it.cli("connect", "t1", "--netns", other, "--driver", "tap", code=1)
        assert f"{it.name}.journal: No space left on device" in refused.stderr
        assert not namespace_exists(other)

        # The name is a stranger's from now on, and a crash must not make it ours.
        ip("netns", "add", other)
        try:
            it.cli("connect", "t1", "--netns", other, "--driver", "tap")  # nothing to write down
            it.cli("delete", "t1")
            it.cli("delete", "t0")
            assert not namespace_exists(made)
            disk.free()
            it.cli("connect", "t0", "--netns", made, "--driver", "tap")
            disk.fill()
            said = run(TTFWD, "stop", "--name", it.name, env=it.environment)
            assert "stopped" in said.stdout
            it.process.wait()
            assert it.process.returncode == 0
            assert "every packet is accounted for" in it.output
            assert not namespace_exists(made)
            assert sorted(path.suffix for path in disk.path.iterdir()) == ["", ".lock"]  # the filler
            assert namespace_exists(other)
        finally:
            remove_namespace(other)


def test_a_stop_with_a_read_only_directory_removes_what_it_can(disk: SmallDisk, made: str) -> None:
    with instance(tap(made), runtime_directory=disk.path) as it:
        it.expect_crash()  # its files stay
        with disk.read_only():
            it.cli("stop")
            it.process.wait()
        assert it.process.returncode == 1
        assert "Read-only file system" in it.log
        assert f"left behind (the log says why): the control socket {disk.path}/{it.name}.sock" in it.log
        assert "every packet is accounted for" in it.output
        assert "Traceback" not in it.log
        assert not namespace_exists(made)
        ip("netns", "add", made)  # the journal still has the name, and means another one
        config = it.directory / "again.toml"
        config.write_text("queues = 1\n")
        run(TTFWD, "start", "-c", config, "--name", it.name, "--detach", env=it.environment)
        run(TTFWD, "stop", "--name", it.name, env=it.environment)
        assert namespace_exists(made)


def test_a_start_without_room_for_all_of_its_files_leaves_nothing(tmp_path: Path, made: str) -> None:
    """The lock, the journal and the control socket: each is the one without room."""
    for files in range(3):
        with small_disk(tmp_path / "run", files=files) as disk:
            done = start_fails(tap(made), runtime_directory=disk.path)
            assert done.returncode == 1
            assert f"{disk.path}/" in done.stderr
            assert "No space left on device" in done.stderr
            assert {path.suffix for path in disk.path.iterdir()} <= {".lock"}
    with small_disk(tmp_path / "run", files=3) as disk, instance(tap(made), runtime_directory=disk.path):
        pass

# SPDX-License-Identifier: Apache-2.0
"""Another user of the machine can't keep an instance from starting, isn't believed in its place, and loses no
file to it."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.process import nobody
from tests.support.commands import run, unique
from tests.support.instance import TTFWD, instance, private_environment

CONFIG = 'mode = "rxonly"\nqueues = 2\n'
SHM = Path("/dev/shm")


def forged_statistics(path: Path) -> None:
    """The segment of another instance, which looks genuine."""
    with instance(CONFIG) as it:
        path.write_bytes((SHM / f"ttfwd.{it.name}.stats").read_bytes())


@pytest.mark.parametrize("make", [os.mkfifo, forged_statistics])
def test_a_name_in_dev_shm_that_another_user_took(make: Callable[[Path], None]) -> None:
    name = unique("t")
    taken = SHM / f"ttfwd.{name}.stats"
    make(taken)
    os.lchown(taken, nobody.NOBODY, nobody.NOBODY)
    before = taken.lstat()
    try:
        # It isn't believed, waited for, or counted among the instances.
        words: list[list[str]] = [["--name", name], ["--name", name, "--watch", "--json"]]
        for more in words:
            refused = run(TTFWD, "stats", *more, code=3)
            assert f'instance "{name}" is not running' in refused.stderr
        assert name not in run(TTFWD, "stats", "--name", unique("none"), code=3).stderr
        with instance(CONFIG, name=name) as it:
            assert f"{taken} isn't ours, and stays" in it.log
            assert stat.S_IMODE((it.directory / f"{name}.lock").stat().st_mode) == 0o600
            assert it.stats_json()["instance"]["supervisor_pid"] == it.process.pid
            it.wait(lambda s: all(w.state == "ready" for w in s.workers), "its workers found their counters")
            it.stop()
            assert sorted(SHM.glob(f"ttfwd.{name}.*")) == [taken]
            assert taken.lstat() == before
            taken.unlink()
    finally:
        taken.unlink(missing_ok=True)


def as_nobody(*words: str) -> subprocess.CompletedProcess[str]:
    """Run ttfwd as a user who has no runtime directory."""
    environment = {key: value for key, value in os.environ.items() if key != "XDG_RUNTIME_DIR"}
    environment.pop("TTFWD_RUNTIME_DIR", None)
    return run(sys.executable, nobody.__file__, *words, code=None, env=environment)


def test_a_guessable_directory_that_another_user_made_first(tmp_path: Path) -> None:
    config = Path("/tmp", unique("t"))  # where that user can read it
    config.write_text(CONFIG)
    guessed = Path(f"/tmp/ttfwd-{nobody.NOBODY}")
    assert not guessed.exists()
    victim = tmp_path / "victim"
    victim.write_text("kept")
    guessed.mkdir(mode=0o777)
    try:
        (guessed / "ttfwd").symlink_to(tmp_path)
        (tmp_path / "t.log").symlink_to(victim)
        os.lchown(guessed, 1234, 1234)
        for words in (["start", "-c", str(config), "--name", "t"], ["stop", "--name", "t"], ["stop"]):
            detach = [["--detach"], []] if words[0] == "start" else [[]]
            for more in detach:
                refused = as_nobody(*words, *more)
                assert refused.returncode == 77, refused
                assert refused.stderr == (
                    f"ttfwd: runtime directory {guessed}: it belongs to user 1234; "
                    "remove it, or set TTFWD_RUNTIME_DIR\n"
                )
        assert victim.read_text() == "kept"
    finally:
        (guessed / "ttfwd").unlink()
        guessed.rmdir()
        config.unlink()


def test_a_runtime_directory_that_others_can_write_in_is_refused(tmp_path: Path) -> None:
    open_to_all = tmp_path / "run"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    config = tmp_path / "config.toml"
    config.write_text(CONFIG)
    for words in (["start", "-c", str(config)], ["start", "--detach", "-c", str(config)], ["stop"]):
        refused = run(TTFWD, *words, code=77, env=private_environment(open_to_all))
        assert f"runtime directory {open_to_all}: others can write in it (mode 0777)" in refused.stderr
        assert refused.stderr.count("\n") == 1
    assert list(open_to_all.iterdir()) == []

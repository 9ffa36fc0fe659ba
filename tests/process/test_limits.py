# SPDX-License-Identifier: Apache-2.0
"""Resource limits (setrlimit(2)) too low for an instance: a start says what it lacks in one line, and leaves
nothing."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.process import nobody
from tests.support.commands import run, unique
from tests.support.instance import TTFWD, private_environment
from tests.support.netns import namespace_exists
from tests.support.shm import segments_of

MIB = 1 << 20


@pytest.mark.parametrize(
    ("limit", "says"),
    [
        ("fsize=0", ".lock: File too large"),
        ("fsize=4096", "can't be made: File too large"),  # the statistics
        (f"fsize={40 * MIB}", "can't be made: File too large"),  # a frame pool
        (f"as={28 * MIB}", ""),  # modules
        (f"as={48 * MIB}", ""),
        (f"as={180 * MIB}", "Cannot allocate memory"),  # a worker's mappings
    ],
)
def test_a_limit_that_is_too_low_is_named(tmp_path: Path, limit: str, says: str) -> None:
    config = tmp_path / "config.toml"
    name, netns = unique("t"), unique("tg")
    config.write_text(
        f'mode = "rxonly"\nqueues = 4\ncpus = "0"\n[[port]]\nname = "x0"\ndriver = "tap"\nnetns = "{netns}"\n'
    )
    directory = tmp_path / "run"
    done = run(
        *("prlimit", f"--{limit}", TTFWD, "start", "-c", config, "--name", name),
        code=1,
        env=private_environment(directory),
    )
    said = [line for line in done.stderr.splitlines() if ": warning: " not in line]
    assert len(said) == 1, done.stderr
    assert said[0].startswith("ttfwd: ")
    assert says in said[0]
    assert segments_of(name) == []
    assert not namespace_exists(netns)
    assert not directory.exists() or {path.suffix for path in directory.iterdir()} <= {".lock"}


def test_a_user_who_may_have_no_more_processes(tmp_path: Path) -> None:
    """Root isn't bound by the limit."""
    name = unique("t")
    directory = Path("/tmp", name)
    directory.mkdir()
    config = directory / "config.toml"
    config.write_text("queues = 2\n")
    os.chown(directory, nobody.NOBODY, nobody.NOBODY)
    try:
        done = run(
            *("prlimit", "--nproc=1", sys.executable, nobody.__file__, "start", "-c", config, "--name", name),
            code=1,
            env=private_environment(directory),
        )
        assert done.stderr.endswith("ttfwd: the workers can't be started: Resource temporarily unavailable\n")
        assert segments_of(name) == []
    finally:
        for path in directory.iterdir():
            path.unlink()
        directory.rmdir()

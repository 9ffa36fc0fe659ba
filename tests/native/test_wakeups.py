# SPDX-License-Identifier: Apache-2.0
"""A packet published while its consumer falls asleep doesn't wait for the next one (loop_threads.c)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.native import programs
from tests.support.drivers import require_uring


@pytest.fixture(scope="module")
def loop_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return programs.build("loop_threads", programs.DATAPATH, tmp_path_factory.mktemp("loop"))


@pytest.mark.parametrize(
    ("rx_mode", "driver", "packets"),
    [("interrupt", "mmsg", 160_000), ("adaptive", "mmsg", 8_000), ("interrupt", "uring", 40_000)],
)
def test_no_wakeup_is_lost(loop_program: Path, rx_mode: str, driver: str, packets: int) -> None:
    """Slices last an hour, so a lost wake-up hangs the program."""
    if driver == "uring":
        require_uring()
    done = programs.run([loop_program, rx_mode, driver, str(packets), "2"])
    assert (done.returncode, done.stdout) == (0, f"ok {packets}\n"), done.stdout + done.stderr

# SPDX-License-Identifier: Apache-2.0
"""ThreadSanitizer over all lock-free shared memory: ring and pool, forwarding table, the whole loop.

It can't watch several processes, so threads take their place (ring_tsan.c, loop_threads.c).
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.native import programs
from tests.support.capabilities import missing

FLAGS = ("-fsanitize=thread", "-O1")


@pytest.fixture(scope="module")
def tsan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder to build in. Skips the tests where the sanitizer doesn't work."""
    into = tmp_path_factory.mktemp("tsan")
    probe = into / "probe.c"
    probe.write_text("int main(void) { return 0; }\n")
    command: list[str | Path] = [programs.compiler(), "-fsanitize=thread", "-o", into / "probe", probe]
    if subprocess.run(command, env=programs.environment(), capture_output=True).returncode:
        missing("ThreadSanitizer (libtsan)")
    if not shutil.which("setarch"):
        missing("setarch")
    done = execute(into / "probe")
    if done.returncode:
        missing(f"a machine that ThreadSanitizer runs on: {done.stderr.strip()[-200:]}")
    return into


def execute(*command: str | Path) -> subprocess.CompletedProcess[str]:
    # -R: much address space randomisation leaves no room for the sanitizer's shadow memory.
    return programs.run(["setarch", "-R", *map(str, command)], TSAN_OPTIONS="halt_on_error=0 exitcode=66")


def assert_clean(done: subprocess.CompletedProcess[str], count: int) -> None:
    assert "ThreadSanitizer" not in done.stderr, done.stderr
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == f"ok {count}\n"


@pytest.fixture(scope="module")
def ring_program(tsan: Path) -> Path:
    return programs.build("ring_tsan", ["fdb.c", "layout.c", "pool.c"], tsan, *FLAGS)


@pytest.mark.parametrize(("part", "count"), [("ring", 300_000), ("watched", 200_000), ("fdb", 100_000)])
def test_no_race_in_what_is_shared(ring_program: Path, part: str, count: int) -> None:
    assert_clean(execute(ring_program, part, str(count)), count)


@pytest.fixture(scope="module")
def loop_program(tsan: Path) -> Path:
    # -Wno-tsan: the sanitizer doesn't model fences. The one fence orders `sleeping` against tail. Both are
    # accessed atomically on both sides, so no race stays hidden.
    return programs.build("loop_threads", programs.DATAPATH, tsan, *FLAGS, "-Wno-tsan")


@pytest.mark.parametrize("rx_mode", ["polling", "interrupt", "adaptive"])
def test_no_race_in_the_loop(loop_program: Path, rx_mode: str) -> None:
    assert_clean(execute(loop_program, rx_mode, "mmsg", "1000", "16"), 1000)

# SPDX-License-Identifier: Apache-2.0
"""The module's own tests, in a guest with the module loaded: one test for each case of the program `cases`.

The programs are C and static, since they also run on a debug kernel without any other file. They are built
on the host: TTFWD_KMOD_PROGRAMS is their folder, TTFWD_KMOD_MODULE the path of turbotap.ko. The programs
check the kernel's log and the module's reference count themselves.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.capabilities import missing

# The exit status of a case that this kernel lacks something for; see harness.h.
STATUS_MISSING = 4

_PROGRAMS = Path(os.environ["TTFWD_KMOD_PROGRAMS"])
_MODULE = Path(os.environ["TTFWD_KMOD_MODULE"])


def _run(*command: str | Path, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout, check=False
    )


def _names() -> list[str]:
    listing = _run(_PROGRAMS / "cases", "list")
    assert listing.returncode == 0, listing.stdout
    return listing.stdout.split()


@pytest.mark.parametrize("name", _names())
def test_case(name: str) -> None:
    done = _run(_PROGRAMS / "cases", "run", name)
    if done.returncode == STATUS_MISSING:
        missing(f"{name}: {done.stdout.strip()}")
    assert done.returncode == 0, done.stdout


def test_fuzzer_shrinks_a_failure() -> None:
    """A report of a failure helps only if it names the few calls that cause it."""
    done = _run(_PROGRAMS / "fuzz", "--self-test")
    assert done.returncode == 0, done.stdout
    assert [line.split()[:2] for line in done.stdout.splitlines()[1:]] == [["0", "dup"], ["1", "close"]]


@pytest.mark.timeout(900)
def test_random_calls_break_nothing() -> None:
    """Calls of four threads, others in each run. `make test-kmod-debug` makes many more.

    A failure names its seed. TTFWD_FUZZ_SEED in the environment repeats it.
    """
    seed = os.environ.get("TTFWD_FUZZ_SEED", "random")
    done = _run(_PROGRAMS / "fuzz", seed, "2000", "4", timeout=800)
    print(done.stdout)
    assert done.returncode == 0, done.stdout
    assert done.stdout.endswith("2000 calls: fine\n")


def test_module_is_unloaded_when_nobody_uses_it_and_works_after() -> None:
    """Unloading is refused while the node is open, and works afterwards; loaded again, the module works."""
    with open("/dev/net/turbotap", "rb"):
        refused = _run("rmmod", "turbotap")
        assert refused.returncode != 0
        assert "in use" in refused.stdout
    removed = _run("rmmod", "turbotap")
    assert removed.returncode == 0, removed.stdout
    assert not Path("/dev/net/turbotap").exists()
    loaded = _run("insmod", _MODULE)
    assert loaded.returncode == 0, loaded.stdout
    done = _run(_PROGRAMS / "cases", "run", "uapi_legacy", "lifetime_dup")
    assert done.returncode == 0, done.stdout

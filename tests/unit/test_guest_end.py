# SPDX-License-Identifier: Apache-2.0
"""How a guest's end is told. A script stands in for virtme-ng: it prints what a guest would."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kmod import vm
from tests.kmod.kernels import Kernel

_KERNEL = Kernel("6.1.0-1-amd64", Path("/boot/vmlinuz"), Path("/usr/src"))
_UP = "echo 'ttfwd: the guest is up' >&2"
_ENDED = "echo 'ttfwd: the command ended with status"


@pytest.fixture
def vng(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "vng"
    monkeypatch.setattr(vm, "_VNG", path)
    return path


def _prints(vng: Path, *boots: str) -> None:
    """Have each start of `vng` run the next of these lines, and succeed."""
    count = vng.with_name("boots")
    cases = "".join(f"{number}) {line} ;;\n" for number, line in enumerate(boots, 1))
    vng.write_text(
        f'#!/bin/sh\necho >>{count}\ncase $(wc -l <{count}) in\n{cases}*) echo "no such boot" ;;\nesac\n'
    )
    vng.chmod(0o755)


def test_output_and_status_are_the_commands_own(vng: Path) -> None:
    _prints(vng, f"{_UP}; echo one; printf two; {_ENDED} 3'")
    result = vm.run(_KERNEL, "true")
    assert (result.status, result.output, result.boots) == (3, "one\ntwo", 1)
    with pytest.raises(AssertionError, match=r"^exit status 3\none\ntwo\nttfwd: the guest is up"):
        result.check()


@pytest.mark.parametrize("printed", ["", "echo one;", "echo 0;", f"{_ENDED} '"])
def test_a_guest_that_ends_before_its_command_is_no_success(vng: Path, printed: str) -> None:
    _prints(vng, f"{_UP}; {printed or ':'}")
    result = vm.run(_KERNEL, "true")
    assert result.status is None
    with pytest.raises(AssertionError, match=r"(?s)^the guest ended before its command.*the guest is up"):
        result.check()


@pytest.mark.parametrize(
    "failure", ["Kernel panic - not syncing: VFS", "ttfwd: the guest has no port for output"]
)
def test_a_guest_that_fails_in_its_boot_is_booted_once_more(vng: Path, failure: str) -> None:
    fails = f"echo '{failure}' >&2"
    _prints(vng, fails, f"{_UP}; {_ENDED} 0'")
    result = vm.run(_KERNEL, "true").check()
    assert result.boots == 2

    vng.with_name("boots").unlink()
    _prints(vng, fails, fails)
    result = vm.run(_KERNEL, "true")
    assert (result.status, result.boots) == (None, 2)
    with pytest.raises(AssertionError, match=failure):
        result.check()


def test_a_timeout_is_told_from_an_end(vng: Path) -> None:
    _prints(vng, f"{_UP}; echo one; exec sleep 600")
    with pytest.raises(AssertionError, match=r"^no end after 1 s: the command\none\nttfwd: the guest is up"):
        vm.run(_KERNEL, "the command", timeout=1)

# SPDX-License-Identifier: Apache-2.0
"""A private host for the tests of this folder.

    pytest ---- private "host" namespace, private /run/netns, private /dev/shm
                  |-- namespaces that tests and instances make

This process moves into it for the tests of this folder. So the tests see no device, namespace or instance of
the machine, and the files of configs/ run with their own names. When pytest ends in any way, the kernel
removes everything.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.capabilities import missing, require_root, require_tun
from tests.support.commands import ip
from tests.support.fake_dut.device import Behaviour, FakeDut, fake_dut
from tests.support.veth import Wire, wire

_CLONE_NEWNS = 0x00020000
_CLONE_NEWNET = 0x40000000
_MS_NOSUID_NODEV = 0x2 | 0x4
_MS_REC_PRIVATE = 0x4000 | 0x40000


def _call(result: int) -> None:
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


@pytest.fixture(scope="package", autouse=True)
def private_host() -> Iterator[None]:
    require_root()
    require_tun()
    libc = ctypes.CDLL(None, use_errno=True)
    Path("/run/netns").mkdir(exist_ok=True)
    homes = [os.open(f"/proc/self/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC) for kind in ("net", "mnt")]
    where = Path.cwd()
    try:
        try:
            _call(libc.unshare(_CLONE_NEWNS | _CLONE_NEWNET))
        except PermissionError:
            missing("new network and mount namespaces")
        try:
            _call(libc.mount(None, b"/", None, _MS_REC_PRIVATE, None))
            for target in (b"/run/netns", b"/dev/shm"):
                _call(libc.mount(b"tmpfs", target, b"tmpfs", _MS_NOSUID_NODEV, None))
            ip("link", "set", "lo", "up")
            yield
        finally:
            for home in homes:
                _call(libc.setns(home, 0))
            os.chdir(where)
    finally:
        for home in homes:
            os.close(home)


@pytest.fixture(scope="module")
def ends(private_host: None) -> Iterator[Wire]:
    """Two ends of a wire for the tester."""
    with wire() as both:
        yield both


@pytest.fixture(scope="package")
def only_dut(private_host: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeDut]:
    with fake_dut(tmp_path_factory.mktemp("fake")) as dut:
        yield dut


@pytest.fixture
def dut(only_dut: FakeDut) -> FakeDut:
    """A fake device, which passes everything on until it is told otherwise."""
    only_dut.forward.behave(Behaviour())
    only_dut.backward.behave(Behaviour())
    return only_dut


@pytest.fixture
def dut_of_its_own(tmp_path: Path) -> Iterator[FakeDut]:
    """Another one, for a test that spoils it."""
    with fake_dut(tmp_path) as dut:
        yield dut

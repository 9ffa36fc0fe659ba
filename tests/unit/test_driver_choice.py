# SPDX-License-Identifier: Apache-2.0
"""The driver and io that a port gets on a given machine, and the reason shown if a faster one is missing."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from forwarder.config.model import PortConfig
from forwarder.devices import turbotap, uring
from forwarder.devices.choice import choose
from forwarder.devices.crossing import Crossing
from forwarder.devices.turbotap import Module
from forwarder.errors import DeviceError
from forwarder.native import ffi, lib

FULL = Module(1, lib.TURBOTAP_FEATURE_BATCH | lib.TURBOTAP_FEATURE_BURST)
LATER = Module(7, FULL.features | 1 << 40)
NO_BURST = Module(1, lib.TURBOTAP_FEATURE_BATCH)
OLD = Module(0)
NONE = "turbotap.ko is not loaded (no /dev/net/turbotap)"
NO_RING = "kernel.io_uring_disabled is 2"
NO_CROSSING = "the module has no crossings"
CROSSING = Crossing(-1, 64)


@pytest.mark.parametrize(
    ("driver", "io", "module", "chosen", "note"),
    [
        ("auto", None, FULL, "turbotap/burst", f"the fastest here; not zerocopy: {NO_CROSSING}"),
        ("auto", None, LATER, "turbotap/burst", f"the fastest here; not zerocopy: {NO_CROSSING}"),
        ("auto", "mmsg", FULL, "turbotap/mmsg", "the fastest here"),
        ("turbotap", None, FULL, "turbotap/burst", f"as configured; not zerocopy: {NO_CROSSING}"),
        ("turbotap", "burst", FULL, "turbotap/burst", "as configured"),
        ("turbotap", "mmsg", FULL, "turbotap/mmsg", "as configured"),
        (
            "auto",
            None,
            NO_BURST,
            "turbotap/mmsg",
            "the fastest here; turbotap.ko (ABI 1) has no burst messages",
        ),
        (
            "turbotap",
            None,
            OLD,
            "turbotap/mmsg",
            "as configured; the module of 2016 has no burst messages",
        ),
        ("turbotap", "mmsg", OLD, "turbotap/mmsg", "as configured"),
        ("tap", None, FULL, "tap", "as configured; turbotap would be faster"),
        ("tap", None, NONE, "tap", "as configured; uring would be faster"),
        ("uring", None, FULL, "uring", "as configured; turbotap would be faster"),
        ("uring", None, NONE, "uring", "as configured"),
        ("auto", None, NONE, "uring", f"the fastest here; not turbotap: {NONE}"),
        ("auto", "burst", NONE, "uring", f"the fastest here; not turbotap: {NONE}"),
        ("packet", None, FULL, "packet", "as configured"),
    ],
)
def test_the_driver_of_a_port(
    monkeypatch: pytest.MonkeyPatch, driver: Any, io: Any, module: Module | str, chosen: str, note: str
) -> None:
    monkeypatch.setattr(turbotap, "find", lambda: module)
    monkeypatch.setattr(uring, "missing", lambda: None)
    found = choose(PortConfig(name="p0", driver=driver, io=io), NO_CROSSING)
    assert (str(found.driver), found.note) == (chosen, note)


@pytest.mark.parametrize(
    ("driver", "io", "chosen", "note"),
    [
        ("auto", None, "turbotap/zerocopy", "the fastest here"),
        ("auto", "zerocopy", "turbotap/zerocopy", "the fastest here"),
        ("auto", "burst", "turbotap/burst", "the fastest here"),
        ("turbotap", None, "turbotap/zerocopy", "as configured"),
        ("turbotap", "zerocopy", "turbotap/zerocopy", "as configured"),
        ("turbotap", "mmsg", "turbotap/mmsg", "as configured"),
        ("tap", None, "tap", "as configured; turbotap would be faster"),
        ("packet", None, "packet", "as configured"),
    ],
)
def test_the_driver_of_a_port_where_there_is_a_crossing(
    monkeypatch: pytest.MonkeyPatch, driver: Any, io: Any, chosen: str, note: str
) -> None:
    monkeypatch.setattr(turbotap, "find", lambda: FULL)
    found = choose(PortConfig(name="p0", driver=driver, io=io), CROSSING)
    assert (str(found.driver), found.note) == (chosen, note)


@pytest.mark.parametrize(
    ("driver", "module", "chosen", "note"),
    [
        ("auto", FULL, "turbotap/burst", f"the fastest here; not zerocopy: {NO_CROSSING}"),
        ("auto", NONE, "tap", f"the fastest here; not turbotap: {NONE}; not uring: {NO_RING}"),
        ("tap", NONE, "tap", "as configured"),
    ],
)
def test_the_driver_of_a_port_without_io_uring(
    monkeypatch: pytest.MonkeyPatch, driver: Any, module: Module | str, chosen: str, note: str
) -> None:
    monkeypatch.setattr(turbotap, "find", lambda: module)
    monkeypatch.setattr(uring, "missing", lambda: NO_RING)
    found = choose(PortConfig(name="p0", driver=driver), NO_CROSSING)
    assert (str(found.driver), found.note) == (chosen, note)
    assert len(found.note) < len(ffi.new("struct ttf_port_stats *").note)  # or `stats` would truncate it


@pytest.mark.parametrize(
    ("disabled", "tried", "error", "reason"),
    [
        (None, errno.EBADFD, 0, None),
        ("0", errno.EBADFD, 0, None),
        ("1", errno.EBADFD, 0, None),  # to privileged processes, as a worker is when it makes its rings
        ("1", errno.EBADFD, errno.EPERM, "kernel.io_uring_disabled is 1"),
        ("2", errno.EBADFD, errno.EPERM, NO_RING),
        ("0", errno.EOPNOTSUPP, 0, "tun does not support RWF_NOWAIT before Linux 6.4"),
        ("0", errno.EBADFD, errno.ENOSYS, "this kernel has no io_uring"),
        ("0", errno.EBADFD, errno.EPERM, "io_uring: Operation not permitted"),  # a container's seccomp filter
    ],
)
def test_why_there_is_no_ring(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    disabled: str | None,
    tried: int,
    error: int,
    reason: str | None,
) -> None:
    def preadv(*_: object) -> None:
        raise OSError(tried, os.strerror(tried))

    tun = tmp_path / "tun"
    tun.touch()
    sysctl = tmp_path / "io_uring_disabled"
    if disabled is not None:
        sysctl.write_text(f"{disabled}\n")
    monkeypatch.setattr(uring, "DISABLED", sysctl)
    monkeypatch.setattr(uring, "TUN_DEVICE", tun)
    monkeypatch.setattr(os, "preadv", preadv)
    monkeypatch.setattr(uring, "lib", SimpleNamespace(ttf_uring_probe=lambda: -error))
    assert uring.missing() == reason


@pytest.mark.parametrize(
    ("driver", "io", "module", "told"),
    [
        ("turbotap", None, NONE, f'port "p0": driver turbotap: {NONE}'),
        ("uring", None, FULL, f'port "p0": driver uring: {NO_RING}'),
        (
            "turbotap",
            "burst",
            NO_BURST,
            'port "p0": io burst: turbotap.ko (ABI 1) has no burst messages',
        ),
        ("auto", "burst", OLD, 'port "p0": io burst: the module of 2016 has no burst messages'),
        ("turbotap", "zerocopy", FULL, f'port "p0": io zerocopy: {NO_CROSSING}'),
        ("auto", "zerocopy", OLD, f'port "p0": io zerocopy: {NO_CROSSING}'),
    ],
)
def test_what_cannot_be_had_is_refused_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, driver: Any, io: Any, module: Module | str, told: str
) -> None:
    monkeypatch.setattr(turbotap, "find", lambda: module)
    monkeypatch.setattr(uring, "missing", lambda: NO_RING)
    with pytest.raises(DeviceError) as caught:
        choose(PortConfig(name="p0", driver=driver, io=io), NO_CROSSING)
    assert str(caught.value) == told


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A file in place of /dev/net/turbotap."""
    path = tmp_path / "turbotap"
    path.touch()
    monkeypatch.setattr(turbotap, "DEVICE", path)
    return path


def test_a_module_tells_its_version_and_features(monkeypatch: pytest.MonkeyPatch, node: Path) -> None:
    def answer(fd: int, request: int, data: Any) -> int:
        assert request == lib.TURBOTAP_GET_INFO
        info = ffi.cast("struct turbotap_info *", ffi.from_buffer(data))
        assert info.size == ffi.sizeof("struct turbotap_info")
        info.abi_version, info.features = 3, lib.TURBOTAP_FEATURE_BURST
        return 0

    monkeypatch.setattr(fcntl, "ioctl", answer)
    assert turbotap.find() == Module(3, lib.TURBOTAP_FEATURE_BURST)


def test_a_module_that_does_not_know_the_question_is_the_old_one(
    monkeypatch: pytest.MonkeyPatch, node: Path
) -> None:
    asked: list[int] = []

    def answer(fd: int, request: int, data: Any, mutate: bool = True) -> int:
        asked.append(request)
        if request != lib.TUNGETSOCKFD:
            raise OSError(errno.ENOTTY, os.strerror(errno.ENOTTY))
        return os.open("/dev/null", os.O_RDWR)

    monkeypatch.setattr(fcntl, "ioctl", answer)
    assert turbotap.find() == OLD
    (fd,) = turbotap.open_sockets("p0", [0], 0, burst=False)
    assert not os.get_inheritable(fd)
    os.close(fd)
    assert asked == [lib.TURBOTAP_GET_INFO, lib.TURBOTAP_GET_INFO, lib.TUNGETSOCKFD]


def test_what_is_no_module_is_not_used(node: Path) -> None:
    """An ioctl on a regular file: ENOTTY means the old module, and its call fails."""
    before = set(os.listdir("/proc/self/fd"))
    with pytest.raises(
        DeviceError, match=r'tap device "p0": no socket from .*/turbotap: Inappropriate ioctl'
    ):
        turbotap.open_sockets("p0", [0], 0, burst=False)
    assert set(os.listdir("/proc/self/fd")) == before
    node.unlink()
    assert turbotap.find() == f"turbotap.ko is not loaded (no {node})"

# SPDX-License-Identifier: Apache-2.0
"""The instance's crossing, over a kernel that answers as the test says."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from forwarder.devices import crossing
from forwarder.devices.crossing import Crossing, Member
from forwarder.errors import DeviceError
from forwarder.native import ffi, lib

MAKES_FDS = (lib.TURBOTAP_CREATE, lib.TURBOTAP_JOIN)
SLOTS = 64


class Kernel:
    """The calls that were made, with their structures as the module gets them. It refuses one of them."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, Any]] = []
        self.refuses: dict[int, int] = {}
        self.joined = 0

    def ioctl(self, fd: int, call: int, argument: Any, mutate: bool = True) -> int:
        if self.refuses.get(call):
            raise OSError(self.refuses[call], os.strerror(self.refuses[call]))
        self.calls.append((call, argument))
        if call == lib.TURBOTAP_JOIN:
            member = ffi.cast("struct turbotap_member *", ffi.from_buffer(argument))
            assert member.size == ffi.sizeof("struct turbotap_member")
            assert (member.slots, member.rights) == (SLOTS, lib.TURBOTAP_RIGHT_COPY)
            member.first = self.joined * SLOTS
            self.joined += 1
        if call in MAKES_FDS:
            return os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        return 1024 + len(self.calls)


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Kernel:
    found = Kernel()
    node = tmp_path / "turbotap"
    node.touch()
    monkeypatch.setattr(crossing, "DEVICE", node)
    monkeypatch.setattr(fcntl, "ioctl", found.ioctl)
    return found


def fds() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


def made(workers: int = 2) -> Crossing:
    found = Crossing.make(workers, SLOTS)
    assert isinstance(found, Crossing)
    return found


def test_each_worker_gets_a_member_and_its_next_process_another(kernel: Kernel) -> None:
    before = fds()
    found = made()
    create = ffi.cast("struct turbotap_crossing *", ffi.from_buffer(kernel.calls[0][1]))
    assert (create.slots, create.header_bytes) == (3 * SLOTS, lib.TURBOTAP_CELL_HEADERS)
    assert create.bytes == 3 * (4 << 20)
    first = found.join(1)
    assert (first.first, first.slots) == (SLOTS, SLOTS)
    assert found.join(1) == first
    assert found.member_fd(1) == first.fd
    found.leave(1)
    assert found.member_fd(1) is None
    assert found.join(1) == Member(first.fd, 2 * SLOTS, SLOTS)
    found.close()
    assert fds() == before


@pytest.mark.parametrize(
    ("prepare", "reason"),
    [
        (
            lambda kernel: kernel.refuses.update({lib.TURBOTAP_CREATE: errno.ENOTTY}),
            "the module has no crossings",
        ),
        (
            lambda kernel: kernel.refuses.update({lib.TURBOTAP_CREATE: errno.ENOMEM}),
            "no memory for a crossing of 12 MiB",
        ),
        (
            lambda kernel: kernel.refuses.update({lib.TURBOTAP_JOIN: errno.ENOSPC}),
            "no crossing: No space left on device",
        ),
        (lambda kernel: crossing.DEVICE.unlink(), "there was no turbotap.ko when the instance started"),
    ],
    ids=["old-module", "memory", "member", "no-module"],
)
def test_why_there_is_none(kernel: Kernel, prepare: Callable[[Kernel], object], reason: str) -> None:
    prepare(kernel)
    before = fds()
    assert Crossing.make(2, SLOTS) == reason
    assert fds() == before


def test_more_workers_than_members_are_no_crossing(kernel: Kernel) -> None:
    assert Crossing.make(65, SLOTS) == "a crossing has at most 64 workers"
    assert kernel.calls == []


def test_a_port_with_more_queues_than_there_is_room_for_goes_without(kernel: Kernel) -> None:
    found = made()
    most = lib.TURBOTAP_CROSSING_PORTS
    assert found.lacks_room(most) is None
    number = found.add_tap("t0", 7, 10)
    assert found.lacks_room(most) == f"the crossing has no room for {most} more of its {most} ports"
    assert found.lacks_room(most - 1) is None
    found.delete(number)
    assert found.lacks_room(most) is None
    found.close()


def test_ports_have_the_kernels_numbers(kernel: Kernel) -> None:
    found = made()
    kernel.calls.clear()
    assert found.add_tap("t0", 7, 10) == 1025
    assert found.add_device("d0", 3) == 1026
    found.delete(1025)
    tap = ffi.cast("struct turbotap_port_tap *", ffi.from_buffer(kernel.calls[0][1]))
    assert (tap.size, tap.tun_fd, tap.vnet_hdr_size) == (ffi.sizeof("struct turbotap_port_tap"), 7, 10)
    assert kernel.calls[2] == (lib.TURBOTAP_PORT_DELETE, 1025)
    kernel.refuses[lib.TURBOTAP_PORT_TAP] = errno.ENOSPC
    with pytest.raises(DeviceError, match='port "t0": not in the crossing: No space left on device'):
        found.add_tap("t0", 7, 10)
    found.close()

# SPDX-License-Identifier: Apache-2.0
"""The offloads requested from a kernel, and those reported to the user."""

from __future__ import annotations

import errno
import fcntl
import struct
from typing import Any

import pytest

from forwarder import offloads
from forwarder.devices import tap_queues
from forwarder.errors import DeviceError
from forwarder.native import lib

SETOFFLOAD, SETVNETHDRSZ = 0x400454D0, 0x400454D8
CSUM, USO4, USO6 = lib.TTF_OFFLOAD_CSUM, lib.TTF_OFFLOAD_USO4, lib.TTF_OFFLOAD_USO6
EVERYTHING = ("csum", "tso4", "tso6", "ecn", "uso4", "uso6")


class Kernel:
    """TUNSETOFFLOAD of a kernel with these features. `set`: the features in effect."""

    def __init__(self, known: int) -> None:
        self.known = known
        self.set: int | None = None
        self.header_bytes: int | None = None

    def ioctl(self, _fd: int, request: int, argument: Any) -> int:
        if request == SETVNETHDRSZ:
            (self.header_bytes,) = struct.unpack("i", argument)
            return 0
        assert request == SETOFFLOAD
        one_without_the_other = bool(argument & USO4) != bool(argument & USO6)
        if argument & ~self.known or one_without_the_other or (argument and not argument & CSUM):
            raise OSError(errno.EINVAL, "invalid")
        self.set = argument
        return 0


@pytest.mark.parametrize(
    ("known", "granted"),
    [
        (0x7F, EVERYTHING),
        (0x1F, EVERYTHING[:4]),  # before 6.2
        (0x03, EVERYTHING[:2]),
        (0x01, EVERYTHING[:1]),
        (0x00, ()),
    ],
)
def test_a_kernel_is_asked_feature_by_feature(
    monkeypatch: pytest.MonkeyPatch, known: int, granted: tuple[str, ...]
) -> None:
    kernel = Kernel(known)
    monkeypatch.setattr(fcntl, "ioctl", kernel.ioctl)
    found = tap_queues.set_offloads("t0", 3, wanted=True)
    assert offloads.names(found) == granted
    assert kernel.set == found, "the reported offloads are those in effect"
    assert kernel.header_bytes == lib.TTF_VNET_HDR_BYTES


def test_without_offload_what_was_set_before_is_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel(0x7F)
    monkeypatch.setattr(fcntl, "ioctl", kernel.ioctl)
    assert tap_queues.set_offloads("t0", 3, wanted=False) == 0
    assert kernel.set == 0


def test_a_device_that_is_gone_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def ioctl(*_: object) -> int:
        raise OSError(errno.EBADFD, "gone")

    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    with pytest.raises(DeviceError, match='"t0"'):
        tap_queues.set_offloads("t0", 3, wanted=True)


def test_names() -> None:
    assert offloads.shown(0) == "none"
    assert offloads.shown(lib.TTF_OFFLOAD_CSUM | lib.TTF_OFFLOAD_TSO6) == "csum tso6"

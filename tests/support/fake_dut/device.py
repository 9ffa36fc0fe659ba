# SPDX-License-Identifier: Apache-2.0
"""A device under test that does what it is told, and keeps a book of it.

    netns left        netns middle          netns right
    [left]----veth----[in]  XDP  [out]----veth----[right]

In each direction an XDP program of its own (fake_dut.bpf.c) moves frames from one veth to the other. The
kernel sends nothing on its own in these namespaces, so each frame in the books is one that a test sent.
"""

from __future__ import annotations

import ctypes
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from forwarder.devices.netns import inside
from tests.support.commands import in_namespace, ip, run
from tests.support.fake_dut.libbpf import Loaded, compile_bpf
from tests.support.netns import namespace

HERE = Path(__file__).parent
_TIME_NS = 16
_TIMES = 256
_COPY_BYTES = 3072
_COPIES = 3  # entries of the device map
_FRACTION_BITS = 16
_ENDLESS = 2**63


class _Struct(ctypes.Structure):
    """A struct of 64-bit numbers."""

    def numbers(self) -> dict[str, int]:
        return {name: value for name, *_ in self._fields_ if isinstance(value := getattr(self, name), int)}


class _Behaviour(_Struct):
    _fields_ = tuple(
        (name, ctypes.c_uint64)
        for name in (
            *("drop_every", "lose_from", "lose_count", "die_after", "limit_interval", "limit_tolerance"),
            *("delay_ns", "delay_every", "else_delay_ns", "duplicate_every", "duplicate_count"),
            *("displace_every", "displace_count", "displace_by"),
        )
    )


class _Book(_Struct):
    _fields_ = (
        *(
            (name, ctypes.c_uint64)
            for name in (
                *("received", "dropped_every", "dropped_burst", "dropped_dead", "dropped_limit"),
                *("duplicated", "displaced", "held", "sent"),
            )
        ),
        ("delayed", ctypes.c_uint64 * _TIMES),
        ("undelayed", ctypes.c_uint64 * _TIMES),
    )


class _State(ctypes.Structure):
    _fields_ = (("numbers", ctypes.c_uint64 * 6), ("held_bytes", ctypes.c_uint8 * _COPY_BYTES))


class _Dut(ctypes.Structure):
    _fields_ = (("behaviour", _Behaviour), ("book", _Book), ("state", _State))


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """What a direction of the device does; by default it passes everything on at once.

    "every n": the n-th frame, the 2n-th and so on. Drops come first: a frame has one fate.
    """

    drop_every: int = 0
    lose_from: int = 0  # a burst of lost frames begins with this one, from 1
    lose_count: int = 0
    die_after: int = 0  # frames; those that follow are lost
    limit_per_s: float = 0
    limit_tolerance_ns: int = 100_000
    delay_ns: int = 0
    delay_every: int = 1
    else_delay_ns: int = 0  # of all other frames
    duplicate_every: int = 0
    duplicate_count: int = _ENDLESS  # at most
    displace_every: int = 0
    displace_count: int = _ENDLESS  # at most
    displace_by: int = 1  # so many later frames overtake each


@dataclass(frozen=True)
class Book:
    """What a direction of the device did, in frames."""

    received: int
    dropped_every: int
    dropped_burst: int
    dropped_dead: int
    dropped_limit: int
    duplicated: int
    displaced: int
    held: int  # a displaced one that nothing overtook: it never left
    sent: int  # duplicates included
    # How long frames stayed, by buckets of 16 ns. Of the delayed ones, the wanted delay is left out.
    delayed: tuple[int, ...]
    undelayed: tuple[int, ...]  # the others, if some are delayed

    @property
    def dropped(self) -> int:
        return self.dropped_every + self.dropped_burst + self.dropped_dead + self.dropped_limit

    def excess_ns(self, quantile: float) -> float:
        """By how much more than wanted the delayed frames' quantile differs from that of the others."""
        others = _quantile_ns(self.undelayed, quantile) if any(self.undelayed) else 0
        return _quantile_ns(self.delayed, quantile) - others


def _quantile_ns(buckets: Sequence[int], quantile: float) -> float:
    left = sum(buckets) * quantile
    for index, frames in enumerate(buckets):
        if frames and left <= frames:
            return (index + left / frames) * _TIME_NS
        left -= frames
    raise ValueError("no frames")


class Direction:
    """One direction of the device."""

    def __init__(self, loaded: Loaded) -> None:
        self._shared = _Dut.from_buffer(loaded.variables(ctypes.sizeof(_Dut)))

    def behave(self, wanted: Behaviour) -> None:
        """Begin with an empty book. Only while no frame is on its way."""
        shared = self._shared
        ctypes.memset(ctypes.addressof(shared), 0, ctypes.sizeof(shared))
        for name, value in vars(wanted).items():
            if hasattr(shared.behaviour, name):
                setattr(shared.behaviour, name, value)
        if wanted.limit_per_s:
            shared.behaviour.limit_tolerance = wanted.limit_tolerance_ns << _FRACTION_BITS
            shared.behaviour.limit_interval = round((10**9 << _FRACTION_BITS) / wanted.limit_per_s)

    def book(self) -> Book:
        book = self._shared.book
        return Book(**book.numbers(), delayed=tuple(book.delayed), undelayed=tuple(book.undelayed))


@dataclass(frozen=True)
class FakeDut:
    """The device between two ends. Each end is a namespace, and the veth in it."""

    left: tuple[str, str]
    right: tuple[str, str]
    middle: str  # the device's own namespace; its veths are "in" (to the left) and "out"
    forward: Direction  # from left to right
    backward: Direction


def _connect(stack: ExitStack, made: Path, come: str, leave: str) -> Direction:
    loaded = Loaded(made)
    stack.callback(loaded.close)
    for key in range(_COPIES):
        loaded.redirect_to("out", key, socket.if_nametoindex(leave), "fake_out")
    loaded.attach_xdp("fake_in", socket.if_nametoindex(come))
    return Direction(loaded)


@contextmanager
def fake_dut(folder: Path, *, mtu: int = 1500) -> Iterator[FakeDut]:
    """One that passes everything on until it is told otherwise. `folder` is for the compiled program."""
    with ExitStack() as stack:
        left, middle, right = (stack.enter_context(namespace()) for _ in range(3))
        for near, far, netns in (("in", "left", left), ("out", "right", right)):
            size = ("mtu", str(mtu), "numtxqueues", "1", "numrxqueues", "1")
            ip(
                "link",
                "add",
                near,
                *size,
                "type",
                "veth",
                "peer",
                "name",
                far,
                *size,
                "netns",
                netns,
                netns=middle,
            )
            ip("link", "set", near, "up", netns=middle)
            ip("link", "set", far, "up", netns=netns)
            # A veth takes redirected frames while it receives by NAPI: it has an XDP program, or GRO, which
            # Linux 6.18 overlooks if it was set before the device was up.
            run(*in_namespace(netns, "ethtool", "-K", far, "gro", "on"))
        made = compile_bpf(HERE / "fake_dut.bpf.c", folder)
        with inside(middle):
            forward = _connect(stack, made, "in", "out")
            backward = _connect(stack, made, "out", "in")
        yield FakeDut((left, "left"), (right, "right"), middle, forward, backward)

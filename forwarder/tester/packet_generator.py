# SPDX-License-Identifier: Apache-2.0
"""The generator in user space (native/tester/packet_generator.h): packet sockets, and a process that spins.

It is used like the generator in the kernel, and is slower: some 400,000 frames a second. It carries frames of
any size, goes by any device, and sends captures.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from forwarder.errors import DeviceError, TtfwdError, UsageError
from forwarder.tester.attached import worded
from forwarder.tester.frames import templates
from forwarder.tester.generator import NICE, Generator, Outgoing, generator_config
from forwarder.tester.native import load
from forwarder.tester.programs import succeeded, taken
from forwarder.tester.structs import cleared
from forwarder.tester.traffic import Traffic
from forwarder.tester.trial import Load

if TYPE_CHECKING:
    from forwarder.tester.native import CData, ttf_packet_run, ttf_runner

_GONE = (errno.ENXIO, errno.ENODEV)


class PacketGenerator(Generator):
    """Made by packet_generator(). One trial at a time."""

    def __init__(self, ways: Sequence[Outgoing], run: ttf_packet_run, runner: ttf_runner) -> None:
        ffi = load().ffi
        schedule = ffi.cast("struct ttf_generator *", ffi.addressof(run, "schedule"))
        super().__init__(ways, schedule, ffi.cast("struct ttf_mark *", run.marks), runner)
        self._run = run

    def begin(self, load_: Load, batch: int) -> None:
        cleared(self._run.ways, len(self._run.ways))
        super().begin(load_, batch)

    def unstamped(self, way: int) -> int:
        return self._run.ways[way].unstamped

    def refused(self, way: int) -> int | None:
        return self._run.ways[way].refused

    def _ended(self, error: OSError) -> TtfwdError:
        device = self.ways[self._run.failed_way].device
        if error.errno in _GONE:
            return DeviceError(f"{device.shown}: the device is gone")
        return worded(f"{device.shown}: sending", error)


@contextmanager
def packet_generator(ways: Sequence[Outgoing], traffic: Traffic, *, cpu: int) -> Iterator[PacketGenerator]:
    """Ready to send. Raises TtfwdError: the kernel or a device refuses."""
    native = load()
    with ExitStack() as undo:
        sockets = [undo.enter_context(_socket(way)) for way in ways]
        config = native.ffi.new("struct ttf_generator_config *", generator_config(ways, traffic, False))
        source: dict[str, object] = {"config": config, "frames": _frames(ways, traffic)}
        if traffic.capture:
            replay = source["replay"] = traffic.capture.native()
            undo.callback(native.lib.ttf_replay_free, replay)
            if not replay.stamped:
                raise UsageError(
                    f"{traffic.pcap}: no frame has room for a stamp (16 bytes of UDP or TCP payload)"
                )
        run = taken(native.lib.ttf_packet_run_new(), "memory for the generator")
        undo.callback(native.lib.ttf_packet_run_free, run)
        runner = taken(
            native.lib.ttf_packet_runner_new(
                native.ffi.new("struct ttf_packet_source *", source),
                native.ffi.new("int[]", sockets),
                run,
                cpu,
                NICE,
            ),
            "the generator's process doesn't start",
        )
        undo.callback(native.lib.ttf_runner_free, runner)
        yield PacketGenerator(ways, run, runner)


@contextmanager
def _socket(way: Outgoing) -> Iterator[int]:
    device = way.device
    with device.doing("frames can't be sent by it (packet socket)"):
        fd = succeeded(load().lib.ttf_packet_sender_open(device.endpoint.device.encode()))
    try:
        yield fd
    finally:
        os.close(fd)


def _frames(ways: Sequence[Outgoing], traffic: Traffic) -> list[CData]:
    """A whole frame of each template."""
    native = load()
    made = []
    for way in ways:
        frames = [template.build() for template in templates(traffic, way.direction)]
        made += [native.ffi.new("uint8_t[]", frame) for frame in frames]
        made += [native.ffi.NULL] * (native.lib.TTF_MAX_SIZES - len(frames))
    return made

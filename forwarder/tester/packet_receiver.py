# SPDX-License-Identifier: Apache-2.0
"""The receiver in user space, of one way (native/tester/packet_receiver.h): a packet socket, and a thread.

It is used like the receiver in the kernel. Where the device stamps what it receives (`ethtool -T`), the times
are the NIC's. It takes no frames from the host, whose stack sees them too.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from forwarder.errors import DeviceError
from forwarder.results.model import Direction, Distribution, Way
from forwarder.tester.attached import Attached, worded
from forwarder.tester.native import load
from forwarder.tester.programs import succeeded
from forwarder.tester.receiver import Receiver, match
from forwarder.tester.traffic import Traffic

if TYPE_CHECKING:
    from forwarder.tester.native import ttf_packet_receiver


class PacketReceiver(Receiver):
    """Made by packet_receiver(). One trial at a time."""

    def __init__(
        self, direction: Direction, device: Attached, native: ttf_packet_receiver, cpus: Set[int]
    ) -> None:
        ffi = load().ffi
        all_ = ffi.cast("struct ttf_receiver *", ffi.addressof(native, "all"))
        received = ffi.cast("struct ttf_received *", ffi.addressof(native, "received"))
        super().__init__(direction, device, all_, received, native.window, 1)
        self.timestamps = "nic" if native.nic.clock_fd >= 0 else "kernel"
        self._native = native
        self._at = cpus
        self._thread: threading.Thread | None = None
        self._error = 0

    def begin(self, start_ns: int) -> None:
        super().begin(start_ns)
        load().lib.ttf_packet_receiver_reset(self._native)
        self._all.start_ns = start_ns
        self._thread = threading.Thread(target=self._receive, name=f"receive {self.device.endpoint.device}")
        self._thread.start()

    def read(self, intended: int, first_of_seconds: Sequence[int], lateness: Distribution) -> Way:
        self.stop()
        if self._error:
            raise worded(f"{self.device.shown}: receiving", OSError(-self._error, ""))
        missing = self._native.without_nic_stamp
        if missing:
            raise DeviceError(f"{self.device.shown}: {missing} frames came without the NIC's timestamp")
        return super().read(intended, first_of_seconds, lateness)

    @property
    def dropped(self) -> int:
        return self._native.dropped

    @property
    def clock_step_ns(self) -> int:
        return self._native.clock.step_ns

    def stop(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            self._native.stop = 1
            thread.join()

    def _receive(self) -> None:
        with suppress(OSError):  # they went offline: any other will do
            os.sched_setaffinity(0, self._at)
        self._error = load().lib.ttf_packet_receive(self._native)


@contextmanager
def packet_receiver(
    direction: Direction, device: Attached, traffic: Traffic, cpus: Set[int]
) -> Iterator[PacketReceiver]:
    """Receives by the device, in a thread that runs on one of these CPUs.

    Raises DeviceError, NotPermitted: the kernel refuses.
    """
    native = load()
    config = {
        "device": device.endpoint.device.encode(),
        "any": traffic.pcap is not None,
        "config": match(direction, traffic),
    }
    opened = native.ffi.new("struct ttf_packet_receiver *", config)
    with device.doing("it can't be received from (packet socket)"):
        succeeded(native.lib.ttf_packet_receiver_open(opened))
    receiver = PacketReceiver(direction, device, opened, cpus)
    try:
        yield receiver
    finally:
        receiver.stop()
        with device.place.inside():  # where the device's timestamps are put back
            native.lib.ttf_packet_receiver_close(opened)

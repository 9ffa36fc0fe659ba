# SPDX-License-Identifier: Apache-2.0
"""Driver uring: a tap whose queues workers read and write by io_uring.

The workers make the rings (native/uring.c). This file tells whether they could, and removes the device.
"""

import errno
import os
from contextlib import suppress
from pathlib import Path

from pyroute2.netlink.exceptions import NetlinkError

from forwarder import drivers
from forwarder.config.model import PortConfig
from forwarder.devices.port import Offer
from forwarder.devices.tap import TapPort
from forwarder.devices.tap_queues import TUN_DEVICE
from forwarder.native import lib

DISABLED = Path("/proc/sys/kernel/io_uring_disabled")


class UringPort(TapPort):
    """A tap that is deleted rather than left to go with its last fd."""

    @classmethod
    def offer(cls, config: PortConfig) -> Offer | str:
        return missing() or Offer(drivers.URING)

    def close(self) -> None:
        ours = self.made_device and self._device is not None and self._is_still_there()
        super().close()
        if ours:
            # The kernel frees the ring of a killed worker some time later, and the ring holds the queue.
            with suppress(NetlinkError):  # gone already
                self._host.netlink.of(self.device.place).link("del", index=self.device.ifindex)


def missing() -> str | None:
    """Why driver uring can't be used here, None if it can."""
    try:
        disabled = DISABLED.read_text().strip()
    except OSError:  # before Linux 6.6
        disabled = "0"
    if disabled != "0":  # 1 permits io_uring to privileged processes only; workers are unprivileged
        return f"kernel.io_uring_disabled is {disabled}"
    if not _tun_has_nowait():
        return "tun does not support RWF_NOWAIT before Linux 6.4"
    error = -lib.ttf_uring_probe()
    if error == errno.ENOSYS:
        return "this kernel has no io_uring"
    return f"io_uring: {os.strerror(error)}" if error else None


def _tun_has_nowait() -> bool:
    """Does tun know RWF_NOWAIT? Without it io_uring keeps a read that finds the queue empty."""
    try:
        with TUN_DEVICE.open("rb", buffering=0) as tun:
            os.preadv(tun.fileno(), [bytearray(1)], 0, os.RWF_NOWAIT)
    except OSError as error:
        # EBADFD is the usual answer: the flag is known, and no tap belongs to this fd. Opening the port
        # reports any other error.
        return error.errno != errno.EOPNOTSUPP
    return True

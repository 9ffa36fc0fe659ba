# SPDX-License-Identifier: Apache-2.0
"""Driver uring: a tap whose queues workers read and write by io_uring.

A worker makes its io_urings while it still has its privileges (native/uring.c). This file tells whether it
could.
"""

import errno
import os
from pathlib import Path

from forwarder import drivers
from forwarder.config.model import PortConfig
from forwarder.devices.crossing import Crossing
from forwarder.devices.port import Offer
from forwarder.devices.tap import TapPort
from forwarder.devices.tap_queues import TUN_DEVICE
from forwarder.native import lib

DISABLED = Path("/proc/sys/kernel/io_uring_disabled")
_FOR_ALL = "2"


class UringPort(TapPort):
    """A tap. Workers know what to do with its queues."""

    @classmethod
    def offer(cls, config: PortConfig, crossing: Crossing | str) -> Offer | str:
        return missing() or Offer(drivers.URING)


def missing() -> str | None:
    """Why driver uring can't be used here, None if it can."""
    disabled = _disabled()
    if disabled == _FOR_ALL:
        return f"kernel.io_uring_disabled is {disabled}"
    if not _tun_has_nowait():
        return "tun does not support RWF_NOWAIT before Linux 6.4"
    error = -lib.ttf_uring_probe()
    if error == errno.ENOSYS:
        return "this kernel has no io_uring"
    if error == errno.EPERM and disabled != "0":  # to processes without privileges; are we one?
        return f"kernel.io_uring_disabled is {disabled}"
    return f"io_uring: {os.strerror(error)}" if error else None


def _disabled() -> str:
    try:
        return DISABLED.read_text().strip()
    except OSError:  # before Linux 6.6
        return "0"


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

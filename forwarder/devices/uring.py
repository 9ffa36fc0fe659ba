# SPDX-License-Identifier: Apache-2.0
"""io_uring from user space: whether a worker would get a ring here.

The rings themselves are made by the workers (native/uring.c).
"""

import errno
import os
from pathlib import Path

from forwarder.devices.tap import TUN_DEVICE
from forwarder.native import lib

DISABLED = Path("/proc/sys/kernel/io_uring_disabled")


def _tun_tries() -> bool:
    """Can a read of a tap be tried, whatever io_uring would do with one that finds nothing?"""
    try:
        with TUN_DEVICE.open("rb", buffering=0) as tun:
            os.preadv(tun.fileno(), [bytearray(1)], 0, os.RWF_NOWAIT)
    except (
        OSError
    ) as error:  # EBADFD: tried, and there is no tap behind it. Others: to be told by who opens one
        return error.errno != errno.EOPNOTSUPP
    return True


def missing() -> str | None:
    """Why driver uring can't be had, None if it can."""
    try:
        disabled = DISABLED.read_text().strip()
    except OSError:  # before Linux 6.6
        disabled = "0"
    if disabled != "0":  # 1 has it for privileged processes alone, and workers are none
        return f"kernel.io_uring_disabled is {disabled}"
    if not _tun_tries():
        return "tun knows no RWF_NOWAIT before Linux 6.4"
    error = -lib.ttf_uring_probe()
    if error == errno.ENOSYS:
        return "this kernel has no io_uring"
    return f"io_uring: {os.strerror(error)}" if error else None

# SPDX-License-Identifier: Apache-2.0
"""io_uring from user space: whether a worker would get a ring here.

Called by forwarder.device. The rings themselves are made by the workers (native/port_uring.c).
"""

import errno
import os
from pathlib import Path

from forwarder.native import lib

DISABLED = Path("/proc/sys/kernel/io_uring_disabled")


def missing() -> str | None:
    """Why driver uring can't be had, None if it can."""
    try:
        disabled = DISABLED.read_text().strip()
    except OSError:  # before Linux 6.6
        disabled = "0"
    if disabled != "0":  # 1 has it for privileged processes alone, and workers are none
        return f"kernel.io_uring_disabled is {disabled}"
    error = -lib.ttf_uring_probe()
    if error == errno.ENOSYS:
        return "this kernel has no io_uring"
    return f"io_uring: {os.strerror(error)}" if error else None

# SPDX-License-Identifier: Apache-2.0
"""The devices in /sys of another network namespace.

A sysfs shows the devices of the namespace in which it was mounted. One that is mounted nowhere does: it is
seen by nobody else, and gone when its descriptor is closed (fsmount(2), since Linux 5.2).
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from forwarder.host.tree import Tree

# The same on every architecture. glibc has functions for them since 2.36.
_FSOPEN, _FSCONFIG, _FSMOUNT = 430, 431, 432
_CLOEXEC = 1
_CMD_CREATE = 6  # enum fsconfig_command

_libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def of_this_namespace() -> Iterator[Tree]:
    """A tree that has only /sys: that of the namespace that this thread is in. Raises OSError."""
    with ExitStack() as stack:
        context = _call(_FSOPEN, b"sysfs", _CLOEXEC)
        stack.callback(os.close, context)
        _call(_FSCONFIG, context, _CMD_CREATE, None, None, 0)
        mount = _call(_FSMOUNT, context, _CLOEXEC, 0)
        stack.callback(os.close, mount)
        yield Tree(Path(f"/proc/self/fd/{mount}"), below="/sys")


def _call(number: int, *arguments: object) -> int:
    longs = (ctypes.c_long(each) if isinstance(each, int) else each for each in arguments)
    result = int(_libc.syscall(ctypes.c_long(number), *longs))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result

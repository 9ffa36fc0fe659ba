# SPDX-License-Identifier: Apache-2.0
"""A lock on a file. The kernel releases it when its holder dies.

These are the locks of an open file description (fcntl(2), F_OFD_SETLK). Unlike with flock(2), a process can
ask whether the lock is held without taking it, so that asking never disturbs one that is about to take it.
"""

import fcntl
import os
import struct

_FLOCK = "hhqqi4x"  # struct flock: type, whence, start, length (0: the whole file), pid


def _whole_file(kind: int) -> bytes:
    return struct.pack(_FLOCK, kind, os.SEEK_SET, 0, 0, 0)


def take(fd: int) -> bool:
    """Take the lock until `fd` and its copies are closed. False if somebody holds it. Raises OSError."""
    try:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _whole_file(fcntl.F_WRLCK))
    except BlockingIOError:
        return False
    return True


def is_held(fd: int) -> bool:
    """Whether another open file holds the lock. `fd` may be open for reading alone. Raises OSError."""
    found = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, _whole_file(fcntl.F_WRLCK))
    kind: int = struct.unpack(_FLOCK, found)[0]
    return kind != fcntl.F_UNLCK

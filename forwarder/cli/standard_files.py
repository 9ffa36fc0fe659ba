# SPDX-License-Identifier: Apache-2.0
"""Standard input, output and error, however the process was started: one that is closed becomes /dev/null.

Otherwise the next file that is opened would get its number, and be used as if it were the terminal.
"""

import os
import sys
from contextlib import suppress

_LAST = 2


def open_missing() -> None:
    """Call first. Text that can't be encoded (a file's name may be any bytes) is escaped from now on."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= _LAST:  # open() takes the lowest free number
        os.set_inheritable(fd, True)
    os.close(fd)
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, mode, closefd=False))
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def drop_unwritable() -> None:
    """Call last. What a full disk or a closed pipe won't take is thrown away, so that Python's flush at exit
    doesn't fail, and the exit code stays what it is.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            with suppress(OSError), open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), stream.fileno())

# SPDX-License-Identifier: Apache-2.0
"""What a worker's process writes on its stderr: nothing, unless it crashes. It goes into our log.

A pipe, so that a worker holds no fd of a log file or a terminal. It may write anything, and as much as it
likes: lines are made printable and are limited, and neither end ever blocks.
"""

import os
from collections.abc import Iterator

MAX_LINES = 200
MAX_LINE_CHARS = 500
_PIPE_BYTES = 1 << 16


class WorkerOutput:
    def __init__(self) -> None:
        self._fd, self.write_fd = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._begun = b""  # a line without its end
        self._left = MAX_LINES

    def close_write_end(self) -> None:
        """Once the process has it."""
        os.close(self.write_fd)

    def lines(self) -> Iterator[str]:
        """The lines that came since the last call, without those beyond MAX_LINES in all."""
        if not self._left:
            return
        try:
            data = os.read(self._fd, _PIPE_BYTES)
        except BlockingIOError:
            return
        *whole, self._begun = (self._begun + data).split(b"\n")
        if self._begun and (not data or len(self._begun) > MAX_LINE_CHARS):
            whole.append(self._begun)
            self._begun = b""
        for line in filter(None, whole):
            yield _printable(line)
            self._left -= 1
            if not self._left:
                yield "(the rest of its output is left out)"
                return

    def close(self) -> None:
        os.close(self._fd)


def _printable(line: bytes) -> str:
    shown = line.decode(errors="replace")[:MAX_LINE_CHARS]
    return "".join(c if c.isprintable() else "?" for c in shown)

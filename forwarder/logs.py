# SPDX-License-Identifier: Apache-2.0
"""Where log lines go: stderr, or, while a live view owns the terminal, the lines under its tables."""

import logging
import sys
from collections import deque
from typing import TextIO

_KEPT = 6


class RecentLines(logging.Handler):
    """Keeps the last lines for the live view to show; nothing else writes on its terminal."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: deque[str] = deque(maxlen=_KEPT)
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S"))

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(self.format(record))

    def lines(self) -> tuple[str, ...]:
        return tuple(self._lines)


class _Stderr(logging.StreamHandler[TextIO]):
    """A line that a full disk or a closed terminal doesn't take is lost, and nothing else."""

    def handleError(self, record: logging.LogRecord) -> None:
        if not isinstance(sys.exception(), OSError):
            super().handleError(record)


def to_stderr(verbose: bool) -> logging.Handler:
    """Log lines on stderr from now on."""
    handler = _Stderr(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s ttfwd %(levelname)-7s %(message)s"))
    log = logging.getLogger("ttfwd")
    log.setLevel(logging.DEBUG if verbose else logging.INFO)
    log.addHandler(handler)
    log.propagate = False
    # A user can't act on an exception in a destructor (asyncio's raise when file descriptors run out).
    sys.unraisablehook = lambda ignored: log.debug("ignored: %r", ignored.exc_value)
    return handler

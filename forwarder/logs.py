# SPDX-License-Identifier: Apache-2.0
"""Where log lines go: to journald with fields, else to stderr. A live view that owns the terminal shows them.

Lines that repeat are counted (forwarder.repeats).
"""

import logging
import sys
from collections import deque
from typing import TextIO

from forwarder import journald
from forwarder.repeats import Repeats

_KEPT = 6

repeats = Repeats(logging.getLogger("ttfwd"))


def about(
    *, port: str | None = None, worker: int | None = None, reason: str | None = None
) -> dict[str, object]:
    """What a line is about: its `extra`, from which journald gets the fields PORT, WORKER and REASON."""
    return {"port": port, "worker": worker, "reason": reason}


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


def to_user(verbose: bool, instance: str) -> logging.Handler:
    """Log lines of an instance appear from now on, in the journal if stderr goes there."""
    handler = _handler(instance)
    log = logging.getLogger("ttfwd")
    log.setLevel(logging.DEBUG if verbose else logging.INFO)
    log.addFilter(repeats)
    log.addHandler(handler)
    log.propagate = False
    # A user can't act on an exception in a destructor (asyncio's raise when file descriptors run out).
    sys.unraisablehook = lambda ignored: log.debug("ignored: %r", ignored.exc_value)
    return handler


def _handler(instance: str) -> logging.Handler:
    if journald.gets_stderr():
        return journald.Handler(instance)
    handler = _Stderr(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s ttfwd %(levelname)-7s %(message)s"))
    return handler

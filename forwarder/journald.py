# SPDX-License-Identifier: Apache-2.0
"""Log lines with fields, for journald: `journalctl INSTANCE=lab WORKER=2` finds those about one worker."""

import logging
from collections.abc import Iterator

from logging_journald import JournaldTransport, check_journal_stream

FIELDS = ("port", "worker", "reason")  # of a record, where the line is about one (forwarder.logs.about)

# As syslog(3) numbers them.
_PRIORITIES = {logging.ERROR: 3, logging.WARNING: 4, logging.INFO: 6, logging.DEBUG: 7}


def gets_stderr() -> bool:
    """Whether stderr is a stream to journald, as it is in a service unless its unit says otherwise."""
    try:
        return bool(check_journal_stream())
    except (OSError, ValueError):  # JOURNAL_STREAM isn't what systemd sets
        return False


class Handler(logging.Handler):
    """A line that journald doesn't take at once is lost: the supervisor doesn't wait for it."""

    def __init__(self, instance: str) -> None:
        super().__init__()
        self._instance = instance
        self._transport = JournaldTransport(connected=False)  # journald may be restarted
        self._transport.socket.setblocking(False)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._transport.send(self._pairs(record))
        except OSError:
            pass
        except Exception:
            self.handleError(record)

    def _pairs(self, record: logging.LogRecord) -> Iterator[tuple[str, object]]:
        yield "MESSAGE", _encodable(self.format(record))
        yield "PRIORITY", _PRIORITIES.get(record.levelno, 2)
        yield "SYSLOG_IDENTIFIER", "ttfwd"
        yield "INSTANCE", self._instance
        for name in FIELDS:
            value = getattr(record, name, None)
            if value is not None:
                yield name.upper(), _encodable(str(value))


def _encodable(text: str) -> str:
    """A name of a file may hold bytes that are no text."""
    return text.encode(errors="backslashreplace").decode()

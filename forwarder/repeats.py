# SPDX-License-Identifier: Apache-2.0
"""Limits lines of the log that repeat: the first AT_ONCE appear as they come, later ones are counted.

Every INTERVAL_NS the last of those appears, with the number that it stands for. Two lines are alike if they
are about the same port and worker, and differ in numbers alone. A line about neither is alike only to itself.
"""

import logging
import re
import time
from collections.abc import Callable
from dataclasses import dataclass

AT_ONCE = 10
INTERVAL_NS = 30_000_000_000
MOST_KINDS = 1000  # bounds the memory: a line of one more kind appears

_NUMBER = re.compile(r"\d+")

_Kind = tuple[int, object, object, str]


@dataclass
class _Seen:
    """Lines of one kind since the interval began."""

    until_ns: int
    left: int  # that appear as they come
    last: logging.LogRecord | None = None  # of those that didn't appear
    counted: int = 0


class Repeats(logging.Filter):
    """A filter of a logger. What it holds back goes to that logger's handlers."""

    def __init__(self, log: logging.Logger, now_ns: Callable[[], int] = time.monotonic_ns) -> None:
        super().__init__()
        self._log = log
        self._now_ns = now_ns
        self._seen: dict[_Kind, _Seen] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a line appears now."""
        kind = _kind(record)
        seen = self._seen.get(kind)
        if seen is None:
            if len(self._seen) < MOST_KINDS:
                self._seen[kind] = _Seen(self._now_ns() + INTERVAL_NS, AT_ONCE - 1)
            return True
        if seen.left:
            seen.left -= 1
            return True
        seen.last = record
        seen.counted += 1
        return False

    def say_due(self) -> None:
        """Have what was counted appear, for the intervals that are over."""
        now_ns = self._now_ns()
        for kind, seen in list(self._seen.items()):
            if now_ns < seen.until_ns:
                continue
            if seen.last is None:
                del self._seen[kind]
                continue
            self._seen[kind] = _Seen(now_ns + INTERVAL_NS, 0)
            self._say(seen.last, seen.counted)

    def say_all(self) -> None:
        """The same for every interval: the log ends."""
        for seen in self._seen.values():
            if seen.last is not None:
                self._say(seen.last, seen.counted)
        self._seen.clear()

    def _say(self, last: logging.LogRecord, counted: int) -> None:
        if counted > 1:
            last.msg, last.args = f"{last.getMessage()} (and {counted - 1} more like this)", None
        self._log.callHandlers(last)


def _kind(record: logging.LogRecord) -> _Kind:
    port, worker = getattr(record, "port", None), getattr(record, "worker", None)
    text = record.getMessage()
    if port is not None or worker is not None:
        text = _NUMBER.sub("#", text)
    return record.levelno, port, worker, text

# SPDX-License-Identifier: Apache-2.0
"""The log's lines about queues that stop and work again.

A link that flaps, or a worker that lies, may report a change thousands of times. For each queue the first
LINES are logged as they come. Then one line appears every LINE_EVERY_NS, with the state of that time and the
number of reports that were left out. The last state always appears.
"""

import logging
from dataclasses import dataclass, field

from forwarder.logs import about
from forwarder.supervisor.leaky_bucket import LeakyBucket

LINES = 4
LINE_EVERY_NS = 30_000_000_000

log = logging.getLogger("ttfwd")


def _lines() -> LeakyBucket:
    return LeakyBucket(LINES, LINE_EVERY_NS)


@dataclass
class _Queue:
    lines: LeakyBucket = field(default_factory=_lines)
    error: str | None = None  # as last reported
    unsaid: int = 0  # reports since the last line


class QueueReports:
    def __init__(self) -> None:
        self._queues: dict[tuple[str, int], _Queue] = {}

    def add(self, port: str, number: int, error: str | None, now_ns: int) -> None:
        """Queue `number` of the port stopped for `error`, or works again (None)."""
        queue = self._queues.setdefault((port, number), _Queue())
        queue.error = error
        queue.unsaid += 1
        _say(port, number, queue, now_ns)

    def tell(self, now_ns: int) -> None:
        """Log what had to wait, as far as its time has come."""
        for (port, number), queue in self._queues.items():
            if queue.unsaid:
                _say(port, number, queue, now_ns)

    def forget(self, port: str) -> None:
        """The port is gone."""
        for key in [key for key in self._queues if key[0] == port]:
            del self._queues[key]


def _say(port: str, number: int, queue: _Queue, now_ns: int) -> None:
    if not queue.lines.admit(now_ns):
        return
    level = logging.INFO if queue.error is None else logging.WARNING
    state = " works again" if queue.error is None else f": {queue.error}"
    left_out = f" ({queue.unsaid - 1} reports before it were left out)" if queue.unsaid > 1 else ""
    extra = about(port=port, worker=number, reason=queue.error)
    log.log(level, "port %s queue %d%s%s", port, number, state, left_out, extra=extra)
    queue.unsaid = 0

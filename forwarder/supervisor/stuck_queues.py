# SPDX-License-Identifier: Apache-2.0
"""Which queues got stuck, and when each may be renewed.

A worker says that a queue is stuck, and isn't trusted. A renewal holds up the supervisor for
some milliseconds, so each worker gets one every RENEW_EVERY_NS.
"""

from collections.abc import Iterator

RENEW_EVERY_NS = 1_000_000_000


class StuckQueues:
    def __init__(self) -> None:
        self._waiting: dict[tuple[int, int], None] = {}  # (worker, port id), in the order of the reports
        self._not_before_ns: dict[int, int] = {}  # by worker

    def add(self, worker: int, port_id: int) -> None:
        self._waiting[worker, port_id] = None

    def due(self, now_ns: int) -> Iterator[tuple[int, int]]:
        """Take those that may be renewed now: a worker and a port id each. `now_ns`: CLOCK_MONOTONIC."""
        for worker, port_id in tuple(self._waiting):
            if now_ns >= self._not_before_ns.get(worker, 0):
                self._not_before_ns[worker] = now_ns + RENEW_EVERY_NS
                del self._waiting[worker, port_id]
                yield worker, port_id

# SPDX-License-Identifier: Apache-2.0
"""Standby processes: their interpreters have started, so that one becomes a worker within milliseconds.

One in calm times. After deaths there are as many as workers died in the last MEMORY_NS, so that a burst of
deaths like the last one finds a standby each; never more than there are workers, nor than MOST. A standby
that can't be started is no error: a worker's process is then started from scratch.
"""

import logging
from collections import deque
from collections.abc import Callable

from forwarder.supervisor.worker_process import WorkerProcess

MOST = 4
MEMORY_NS = 10_000_000_000
RETRY_NS = 1_000_000_000

log = logging.getLogger("ttfwd")


class Standbys:
    def __init__(self, workers: int, start: Callable[[], WorkerProcess]) -> None:
        """`start` makes a process. It raises OSError when it can't."""
        self._most = min(workers, MOST)
        self._start = start
        self._processes: deque[WorkerProcess] = deque()
        self._deaths: deque[int] = deque(maxlen=MOST)  # when workers died
        self._retry_at_ns = 0

    def __len__(self) -> int:
        return len(self._processes)

    def worker_died(self, now_ns: int) -> None:
        self._deaths.append(now_ns)

    def take(self) -> WorkerProcess:
        """The oldest standby that lives, or else a new process. Raises OSError."""
        while self._processes:
            process = self._processes.popleft()
            if process.exit_code() is None:
                return process
            process.close()
        return self._start()

    def keep(self, now_ns: int) -> None:
        """Start a standby if there are too few, end one if there are too many."""
        self._bury(now_ns)
        wanted = self._wanted(now_ns)
        if len(self._processes) > wanted:
            self._end(self._processes.pop())  # the youngest may still be starting
        elif len(self._processes) < wanted and now_ns >= self._retry_at_ns:
            try:
                self._processes.append(self._start())
            except OSError as error:
                log.debug("no standby: %s", error.strerror)
                self._retry_at_ns = now_ns + RETRY_NS

    def _bury(self, now_ns: int) -> None:
        dead = [process for process in self._processes if process.exit_code() is not None]
        for process in dead:
            self._processes.remove(process)
            process.close()
            self._retry_at_ns = now_ns + RETRY_NS

    def _wanted(self, now_ns: int) -> int:
        while self._deaths and now_ns - self._deaths[0] > MEMORY_NS:
            self._deaths.popleft()
        return min(max(1, len(self._deaths)), self._most)

    def close(self) -> None:
        while self._processes:
            self._end(self._processes.pop())

    @staticmethod
    def _end(process: WorkerProcess) -> None:
        process.kill()
        process.close()

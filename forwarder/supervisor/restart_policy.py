# SPDX-License-Identifier: Apache-2.0
"""When a dead worker is started again.

    it died, and the leaky bucket admits it       -> at once
    it died too often                             -> BACKOFF, until the bucket has leaked
    no process could be started                   -> BACKOFF, for a second
    MAX_FAILED_STARTS starts in a row never got   -> FAILED, for 1 s, then 2 s, 4 s, ... LAST_RETRY_NS
    ready

Pure: it reads no clock and starts nothing. No state is for ever: what made the starts fail (a CPU that is
gone, a full machine) may end.
"""

from dataclasses import dataclass

from forwarder.supervisor.leaky_bucket import LeakyBucket
from forwarder.supervisor.worker_state import WorkerState

MAX_FAILED_STARTS = 5
FIRST_RETRY_NS = 1_000_000_000
LAST_RETRY_NS = 60_000_000_000


@dataclass(frozen=True, slots=True)
class NextStart:
    """A worker's next start: its state until then, STARTING for a start at once, and the time."""

    state: WorkerState
    at_ns: int


class RestartPolicy:
    """Of one worker."""

    def __init__(self) -> None:
        self._bucket = LeakyBucket()
        self.failed_starts = 0  # in a row

    @property
    def is_failing(self) -> bool:
        """Whether it was FAILED, and hasn't been ready since."""
        return self.failed_starts >= MAX_FAILED_STARTS

    def got_ready(self) -> None:
        self.failed_starts = 0

    def after_death(self, now_ns: int, was_ready: bool) -> NextStart:
        if not was_ready:
            self.failed_starts += 1
        if self.is_failing:
            return self._after_failure(now_ns)
        if self._bucket.admit(now_ns):
            return NextStart(WorkerState.STARTING, now_ns)
        return NextStart(WorkerState.BACKOFF, self._bucket.next_admission_ns(now_ns))

    def without_process(self, now_ns: int) -> NextStart:
        """After the attempt to start a process failed: others may give back what was missing."""
        self.failed_starts += 1
        if self.is_failing:
            return self._after_failure(now_ns)
        return NextStart(WorkerState.BACKOFF, now_ns + FIRST_RETRY_NS)

    def after_wait(self, now_ns: int) -> None:
        """The worker is started at the end of its BACKOFF or FAILED: that counts as a restart."""
        self._bucket.admit(now_ns)

    def _after_failure(self, now_ns: int) -> NextStart:
        doublings = min(self.failed_starts - MAX_FAILED_STARTS, LAST_RETRY_NS.bit_length())
        return NextStart(WorkerState.FAILED, now_ns + min(FIRST_RETRY_NS << doublings, LAST_RETRY_NS))

# SPDX-License-Identifier: Apache-2.0
"""What the worker pool knows of one worker, and a request that it sent to one."""

from dataclasses import dataclass, field

from forwarder.supervisor.leaky_bucket import LeakyBucket
from forwarder.supervisor.restart_policy import RestartPolicy
from forwarder.supervisor.watcher import Watched
from forwarder.supervisor.worker_process import WorkerProcess
from forwarder.supervisor.worker_state import WorkerState

FAILING_LINE_EVERY_NS = 60_000_000_000


def _failing_lines() -> LeakyBucket:
    return LeakyBucket(1, FAILING_LINE_EVERY_NS)


@dataclass
class PoolWorker:
    """One worker over all its processes."""

    index: int
    cpu: int  # where it is pinned
    watched: Watched
    policy: RestartPolicy = field(default_factory=RestartPolicy)
    state: WorkerState = WorkerState.NONE
    process: WorkerProcess | None = None  # None: dead, and not yet replaced
    away: bool = False  # WentAway was yielded, CameBack not yet
    restart_at_ns: int = 0  # in BACKOFF and FAILED; CLOCK_MONOTONIC
    lines: LeakyBucket = field(default_factory=_failing_lines)  # of the log, while it is failing
    well_seen_ns: int = 0  # when it was last seen READY, and not condemned; of the WatchClock
    is_blameless: bool = False  # it was ended for what another did: that counts for nothing


@dataclass(frozen=True)
class Question:
    """A request that a worker's process was sent."""

    worker: int
    process: WorkerProcess
    seq: int

    @property
    def is_open(self) -> bool:
        """Whether an answer may still come."""
        return self.process.answered < self.seq and self.process.exit_code() is None

    @property
    def refusal(self) -> str | None:
        return self.process.refusal if self.process.answered >= self.seq else None

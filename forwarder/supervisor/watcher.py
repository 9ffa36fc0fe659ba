# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a worker that lives, as far as its words in shared memory and its messages tell.

A worker isn't trusted. Its heartbeat counts by its changes: a value says nothing about when it was written.
Each word is read once. Nobody is killed here; see WorkerPool.watch().
"""

from dataclasses import dataclass, field

from forwarder.native import lib
from forwarder.supervisor.leaky_bucket import LeakyBucket

FUTURE_NS = 1_000_000_000

# An honest worker sends a message for each of 64 ports and each slice of 250 ms at most, and answers.
MESSAGES_AT_ONCE = 2_000
MESSAGES_PER_S = 500

_RUN_STATES = frozenset((lib.TTF_RUN_STATE_RUN, lib.TTF_RUN_STATE_DRAIN, lib.TTF_RUN_STATE_STOP))


def _messages() -> LeakyBucket:
    return LeakyBucket(MESSAGES_AT_ONCE, 10**9 // MESSAGES_PER_S)


@dataclass
class Watched:
    """What was seen of one process of a worker. Times without a clock's name are of the WatchClock."""

    since_ns: int  # its start
    beat_ns: int = 0  # the heartbeat that it wrote last
    beat_seen_ns: int = 0  # when that value was new
    killed_ns: int = 0  # when it got SIGKILL, 0 if it didn't
    messages: LeakyBucket = field(default_factory=_messages)

    def __post_init__(self) -> None:
        self.beat_seen_ns = self.since_ns

    def silent_ns(self, heartbeat_ns: int, now_ns: int) -> int:
        """For how long its heartbeat, which was read now, hasn't changed."""
        if heartbeat_ns != self.beat_ns:
            self.beat_ns, self.beat_seen_ns = heartbeat_ns, now_ns
        return now_ns - self.beat_seen_ns


def lie(heartbeat_ns: int, run_state_seen: int, monotonic_ns: int) -> str | None:
    """What can't be true of a worker's words, read at `monotonic_ns` (CLOCK_MONOTONIC); None if all can."""
    if heartbeat_ns > monotonic_ns + FUTURE_NS:
        return f"its heartbeat is {(heartbeat_ns - monotonic_ns) / 1e9:.1f} s in the future"
    if run_state_seen not in _RUN_STATES:
        return f"its run state is {run_state_seen}, which is none"
    return None

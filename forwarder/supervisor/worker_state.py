# SPDX-License-Identifier: Apache-2.0
"""The states of a worker, and how it gets from one to the next. forwarder.supervisor.worker_pool does it.

NONE     -> STARTING         its first process was started
STARTING -> READY            its process said ready
STARTING -> DRAINING         its process said ready, and the instance drains already
STARTING -> (boot fails)     its process died before the instance ran
READY    -> DRAINING         the instance drains
any      -> EXITED           its process ended, or died, while the instance drains
READY, STARTING -> STARTING  its process died; the leaky bucket admits a restart at once
READY, STARTING -> BACKOFF   its process died; the bucket is full, or no process can be started
STARTING -> FAILED           too many starts in a row never got READY
BACKOFF  -> STARTING         the time is over (forwarder.supervisor.restart_policy)
FAILED   -> STARTING         the time is over, which is longer each time
BACKOFF, FAILED -> FAILED    too many times in a row no process could be started

In BACKOFF and FAILED, and from half a second after the beginning of a start until READY, the kernel steers
the worker's packets to the other queues.
"""

from enum import IntEnum

from forwarder.native import lib


class WorkerState(IntEnum):
    NONE = lib.TTF_WORKER_NONE
    STARTING = lib.TTF_WORKER_STARTING
    READY = lib.TTF_WORKER_READY
    DRAINING = lib.TTF_WORKER_DRAINING
    EXITED = lib.TTF_WORKER_EXITED
    BACKOFF = lib.TTF_WORKER_BACKOFF
    FAILED = lib.TTF_WORKER_FAILED

    @property
    def has_process(self) -> bool:
        """Whether there is always a process in this state. STARTING begins before its process does."""
        return self in (WorkerState.READY, WorkerState.DRAINING)

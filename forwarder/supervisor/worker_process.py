# SPDX-License-Identifier: Apache-2.0
"""One worker process' life, seen from the supervisor.

STARTING -> READY            it answered `ready`
STARTING -> (boot fails)     it died, or said `failed`, before the instance ran
READY    -> DRAINING         the instance drains
DRAINING -> EXITED           it saw the drain through and left
READY, STARTING -> STARTING  it died; the leaky bucket admits a restart at once
READY, STARTING -> BACKOFF   it died; the bucket is full, or no process can be had: queues detached
BACKOFF  -> STARTING         the time is over
STARTING -> FAILED           too many starts in a row never got READY: its queues stay detached
"""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from enum import IntEnum

from forwarder.native import lib
from forwarder.supervisor.leaky_bucket import LeakyBucket
from forwarder.worker.channel import Channel


class State(IntEnum):
    NONE = lib.TTF_WORKER_NONE
    STARTING = lib.TTF_WORKER_STARTING
    READY = lib.TTF_WORKER_READY
    DRAINING = lib.TTF_WORKER_DRAINING
    EXITED = lib.TTF_WORKER_EXITED
    BACKOFF = lib.TTF_WORKER_BACKOFF
    FAILED = lib.TTF_WORKER_FAILED


@dataclass
class Process:
    """One incarnation: the process, what tells of its death, and the channel to it."""

    popen: "subprocess.Popen[bytes]"
    pidfd: int
    channel: Channel
    acked: int = 0  # seq of the last message that it answered
    last_error: str | None = None  # of that answer, or why it failed
    abort_sent_ns: int = 0  # when it got SIGABRT for having stopped beating, 0 if it didn't

    @classmethod
    def start(cls) -> "Process":
        channel, theirs = Channel.pair()
        try:
            popen = subprocess.Popen(
                [sys.executable, "-P", "-m", "forwarder.worker.main", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                process_group=0,  # Ctrl-C on the terminal is not for it
            )
        finally:
            theirs.close()
        try:
            return cls(popen, os.pidfd_open(popen.pid), channel)
        except OSError:  # out of descriptors: a process that can't be watched must not run
            popen.kill()
            popen.wait()
            raise

    def signal(self, number: signal.Signals) -> None:
        try:
            signal.pidfd_send_signal(self.pidfd, number)
        except ProcessLookupError:
            return  # it is dead already; reaping says how

    def reap(self) -> int | None:
        """The exit code (negative: a signal), None while it lives."""
        return self.popen.poll()

    def close(self) -> None:
        self.channel.close()
        os.close(self.pidfd)


@dataclass
class Child:
    """One worker over all its incarnations."""

    index: int
    cpu: int
    bucket: LeakyBucket = field(default_factory=LeakyBucket)
    state: State = State.NONE
    process: Process | None = None
    restart_at_ns: int = 0  # in BACKOFF
    starts_failed: int = 0  # in a row


def describe_exit(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"


def doorbell() -> int:
    return os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

# SPDX-License-Identifier: Apache-2.0
"""One incarnation of a worker: its process, the pidfd that tells of its death, and the channel to it.

A worker parses packets that anybody may have sent, so its messages are not trusted. Each is checked against
the requests that the worker was sent. A false one is a ProtocolError, and the process is killed.
"""

import os
import select
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Self

from forwarder.supervisor.worker_output import WorkerOutput
from forwarder.supervisor.worker_user import STAY
from forwarder.worker.channel import ChannelClosed, SupervisorEnd
from forwarder.worker.messages import Ack, ProtocolError, ToSupervisor

# -I: neither the working directory nor PYTHON... variables say what is imported.
COMMAND = (sys.executable, "-I", "-m", "forwarder.worker.main")
KILL_TIMEOUT_MS = 2_000
MESSAGES_AT_ONCE = 256  # of one worker: one that never stops sending must not delay the others

_HINTS = {
    signal.SIGKILL: "killed from outside; perhaps out of memory, see the kernel's log",
    signal.SIGSYS: "it made a system call that a worker never makes",
}


@dataclass(frozen=True)
class Launch:
    """How the processes of an instance's workers are started."""

    instance: str
    user: int = STAY
    oom_score_adj: int = 0

    def start(self) -> "WorkerProcess":
        """Raises OSError."""
        settings = (str(self.user), str(self.oom_score_adj), self.instance)
        return WorkerProcess.start((*COMMAND, *settings))


@dataclass
class WorkerProcess:
    popen: "subprocess.Popen[bytes]"
    pidfd: int
    channel: SupervisorEnd
    output: WorkerOutput
    unanswered: deque[int] = field(default_factory=deque)  # seqs, oldest first
    answered: int = 0  # the seq of its last answer
    refusal: str | None = None  # the error in that answer
    failed: str | None = None  # the reason that it gave itself
    condemned: str | None = None  # why we kill it
    abort_sent_ns: int = 0  # when it got SIGABRT because it hangs, 0 if it didn't
    deaf_since_ns: int = 0  # when its end of the channel was found closed, 0 if it wasn't

    @classmethod
    def start(cls, command: Sequence[str]) -> Self:
        """Start `command` with the number of its channel's fd as last argument. Raises OSError."""
        with ExitStack() as undo:
            channel, theirs = SupervisorEnd.pair()
            undo.callback(channel.close)
            with theirs:
                output = WorkerOutput()
                undo.callback(output.close)
                popen = _spawn(command, theirs.fileno(), output)
            undo.callback(popen.wait)
            undo.callback(popen.kill)  # out of descriptors: a process that can't be watched must not run
            pidfd = os.pidfd_open(popen.pid)
            undo.pop_all()
        return cls(popen, pidfd, channel, output)

    @property
    def pid(self) -> int:
        return self.popen.pid

    # ---------------------------------------------------------------------------------- messages

    @property
    def is_heard(self) -> bool:
        """Whether its messages are read: not those of a condemned process, nor of one that closed its end."""
        return self.condemned is None and not self.deaf_since_ns

    def messages(self, now_ns: int) -> Iterator[ToSupervisor]:
        """Its new messages, at most MESSAGES_AT_ONCE of them. Raises ProtocolError."""
        for _ in range(MESSAGES_AT_ONCE):
            if not self.is_heard:
                return
            try:
                delivery = self.channel.receive()
            except ChannelClosed:  # usually the process is ending; its exit code tells why
                self.deaf_since_ns = now_ns
                return
            if delivery is None:
                return
            yield delivery.message

    def take_answer(self, ack: Ack) -> None:
        """Raises ProtocolError unless it answers the oldest request that has no answer yet."""
        if not self.unanswered or ack.seq != self.unanswered[0]:
            expected = self.unanswered[0] if self.unanswered else "nothing"
            raise ProtocolError(f"ack of {ack.seq}, where {expected} waits for an answer")
        self.answered = self.unanswered.popleft()
        self.refusal = ack.error

    # --------------------------------------------------------------------------------------- end

    def signal(self, number: signal.Signals) -> None:
        try:
            signal.pidfd_send_signal(self.pidfd, number)
        except ProcessLookupError:
            return  # it is dead already; its exit code tells why

    def kill(self) -> None:
        """End it, and wait until it is dead, or KILL_TIMEOUT_MS: the kernel may hold it, as in a freezer."""
        self.signal(signal.SIGKILL)
        poller = select.poll()
        poller.register(self.pidfd, select.POLLIN)
        poller.poll(KILL_TIMEOUT_MS)
        self.popen.poll()

    def exit_code(self) -> int | None:
        """Negative: the number of the signal that ended it. None while it lives."""
        return self.popen.poll()

    def why_it_ended(self, exit_code: int) -> str:
        return self.condemned or self.failed or describe_exit(exit_code)

    def close(self) -> None:
        self.channel.close()
        self.output.close()
        os.close(self.pidfd)


def _spawn(command: Sequence[str], channel_fd: int, output: WorkerOutput) -> "subprocess.Popen[bytes]":
    try:
        return subprocess.Popen(
            [*command, str(channel_fd)],
            pass_fds=[channel_fd],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=output.write_fd,
            env={},
            process_group=0,  # Ctrl-C on the terminal is not for it
        )
    finally:
        output.close_write_end()


def wait_for(processes: Iterable[WorkerProcess], timeout_ms: int) -> None:
    """Sleep until one of them sends a message or dies, or the time is over."""
    poller = select.poll()
    for process in processes:
        poller.register(process.pidfd, select.POLLIN)
        if process.is_heard:
            poller.register(process.channel, select.POLLIN)
    poller.poll(timeout_ms)


def describe_exit(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        number = signal.Signals(-code)
    except ValueError:
        return f"signal {-code}"
    hint = _HINTS.get(number)
    return f"signal {number.name} ({hint})" if hint else f"signal {number.name}"

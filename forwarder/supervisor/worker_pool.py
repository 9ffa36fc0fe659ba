# SPDX-License-Identifier: Apache-2.0
"""The worker pool: start, hear, reap, watch, restart and drain the workers.

The states of a worker are in forwarder.supervisor.worker_state. The pool knows nothing of ports and devices:
its methods yield events, and the supervisor acts on each before the pool goes on. Guarantees that a dead
worker is reaped, that its losses are named, and that a worker which hangs, doesn't answer or breaks the
protocol is killed and replaced like any other that died.
"""

import logging
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace

from forwarder.config.model import Config
from forwarder.errors import BootFailed
from forwarder.supervisor.leaky_bucket import LeakyBucket
from forwarder.supervisor.shared_state import SharedState
from forwarder.supervisor.worker_process import WorkerProcess, wait_for
from forwarder.supervisor.worker_state import WorkerState
from forwarder.worker.channel import ChannelClosed
from forwarder.worker.messages import (
    Ack,
    Delivery,
    Failed,
    Go,
    Hello,
    ProtocolError,
    QueueError,
    Ready,
    Request,
    ToSupervisor,
    ToWorker,
)

ANSWER_TIMEOUT_NS = 2_000_000_000
ABORT_GRACE_NS = 500_000_000
START_TIMEOUT_NS = 20_000_000_000
START_RETRY_NS = 1_000_000_000
MAX_FAILED_STARTS = 5

log = logging.getLogger("ttfwd")

# ------------------------------------------------------------------------------------ events


@dataclass(frozen=True, slots=True)
class Restarted:
    """A new process stands in for a dead one. It waits for its ports, and for go."""

    worker: int


@dataclass(frozen=True, slots=True)
class CameBack:
    """It serves its queues again."""

    worker: int


@dataclass(frozen=True, slots=True)
class WentAway:
    """Nobody serves its queues until it comes back. Yielded before the worker's state says so."""

    worker: int


@dataclass(frozen=True, slots=True)
class QueueReported:
    """A queue stopped, or works again (no error). The port id comes from the worker: it may be wrong."""

    worker: int
    port_id: int
    error: str | None


Event = Restarted | CameBack | WentAway | QueueReported


# ------------------------------------------------------------------------------------ the pool


@dataclass
class PoolWorker:
    """One worker over all its processes."""

    index: int
    cpu: int
    bucket: LeakyBucket = field(default_factory=LeakyBucket)
    state: WorkerState = WorkerState.NONE
    process: WorkerProcess | None = None  # None: dead, and not yet replaced
    restart_at_ns: int = 0  # in BACKOFF
    starts_failed: int = 0  # in a row


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


class WorkerPool:
    """One PoolWorker for each queue, the doorbells that they share, and a standby process."""

    def __init__(self, config: Config, cpus: tuple[int, ...], state: SharedState) -> None:
        self._config = config
        self._state = state
        self._doorbells = tuple(os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC) for _ in cpus)
        self._seq = 0
        self._booting = True
        self._draining = False
        self._standby: WorkerProcess | None = None
        self._standby_at_ns = 0
        self.workers = tuple(PoolWorker(index, cpu) for index, cpu in enumerate(cpus))

    # ------------------------------------------------------------------------------------- start

    def start_all(self) -> None:
        """Start every worker. Each waits for its ports, and for go. Raises OSError."""
        for worker in self.workers:
            self._start(worker)

    def _start(self, worker: PoolWorker) -> None:
        self._state.reset_run_state(worker.index)
        self._enter(worker, WorkerState.STARTING)  # before the pid: nobody sees a new process as READY
        process = worker.process = self._take_process()
        self._state.worker_started(worker.index, process.pid, time.monotonic_ns())
        config = self._config
        hello = Hello(
            instance=config.name,
            worker=worker.index,
            cpu=worker.cpu,
            batch=config.batch,
            mode=config.mode,
            steering=config.steering,
            rx_mode=config.rx_mode,
            spin_us=config.spin_us,
        )
        self._send(worker, hello, self._doorbells)

    def _take_process(self) -> WorkerProcess:
        """The standby, whose interpreter runs already, or else a new process."""
        standby, self._standby = self._standby, None
        if standby is None:
            return WorkerProcess.start()
        if standby.exit_code() is None:
            return standby
        standby.close()
        return WorkerProcess.start()

    def keep_standby(self, now_ns: int) -> None:
        """Have one process ready for the next death, once no worker is starting any more."""
        if self._standby is not None and self._standby.exit_code() is not None:
            self._standby.close()
            self._standby = None
            self._standby_at_ns = now_ns + START_RETRY_NS
        starting = any(worker.state is WorkerState.STARTING for worker in self.workers)
        if self._standby is not None or starting or now_ns < self._standby_at_ns:
            return
        try:
            self._standby = WorkerProcess.start()
        except OSError as error:
            log.debug("no standby: %s", error.strerror)
            self._standby_at_ns = now_ns + START_RETRY_NS

    def not_ready(self) -> list[int]:
        return [worker.index for worker in self.workers if worker.state is not WorkerState.READY]

    def away(self) -> list[int]:
        """The workers that went away and didn't come back: no queue should be steered to them."""
        return [w.index for w in self.workers if w.state in (WorkerState.BACKOFF, WorkerState.FAILED)]

    def end_of_boot(self) -> None:
        """From now on a worker that dies is replaced. Until now its death ended the boot."""
        self._booting = False

    # ----------------------------------------------------------------------------------- talking

    def request(self, index: int, delivery: Delivery[Request]) -> int:
        """Send a request. Returns the seq under which it will be answered."""
        self._seq += 1
        worker = self.workers[index]
        sent = self._send(worker, replace(delivery.message, seq=self._seq), delivery.fds)
        if sent and worker.process is not None:
            worker.process.unanswered.append(self._seq)
        self._wake(index)
        return self._seq

    def go(self, index: int) -> None:
        """Let a starting worker run; it was sent every port."""
        self._send(self.workers[index], Go())

    def ask_all(self, request_for: Callable[[int], Delivery[Request]]) -> list[Question]:
        """Send every worker a request of its own."""
        return [
            Question(worker.index, worker.process, self.request(worker.index, request_for(worker.index)))
            for worker in self.workers
            if worker.process is not None
        ]

    def give_up_on(self, questions: Iterable[Question]) -> None:
        """Kill the workers that didn't answer. Their replacements get every port that there is by then."""
        for question in questions:
            if question.is_open:
                seconds = ANSWER_TIMEOUT_NS // 10**9
                self.condemn(question.worker, f"killed because it didn't answer for {seconds} s")
                question.process.kill()

    def _send(self, worker: PoolWorker, message: ToWorker, fds: tuple[int, ...] = ()) -> bool:
        """Whether it was sent. If not, the process is dead or doesn't read; reap() or watch() sees to it."""
        if worker.process is None:
            return False
        try:
            worker.process.channel.send(message, fds)
        except ChannelClosed as error:
            log.debug("worker %d: %s not sent: %s", worker.index, message.op, error)
            return False
        return True

    def _wake(self, index: int) -> None:
        self._state.attention(index)
        with suppress(BlockingIOError):  # a worker filled the eventfd's counter, so it is readable anyway
            os.eventfd_write(self._doorbells[index], 1)

    # ----------------------------------------------------------------------------------- hearing

    def hear(self) -> Iterator[Event]:
        """Read the workers' messages. Raises BootFailed if a worker refuses a port during the boot."""
        for worker in self.workers:
            yield from self._hear(worker)

    def _hear(self, worker: PoolWorker) -> Iterator[Event]:
        process = worker.process
        if process is None:
            return
        try:
            for message in process.messages(time.monotonic_ns()):
                yield from self._heard(worker, process, message)
        except ProtocolError as error:
            self.condemn(worker.index, f"killed for a protocol violation: {error}")

    def _heard(self, worker: PoolWorker, process: WorkerProcess, message: ToSupervisor) -> Iterator[Event]:
        match message:
            case Ready():
                yield from self._heard_ready(worker, process)
            case Ack():
                process.take_answer(message)
                if message.error is not None and self._booting:
                    raise BootFailed(f"worker {worker.index} can't take a port: {message.error}")
                if message.error is not None:
                    log.error("worker %d refuses a request: %s", worker.index, message.error)
            case Failed():
                process.failed = message.error
            case QueueError():
                yield QueueReported(worker.index, message.port_id, message.error)

    def _heard_ready(self, worker: PoolWorker, process: WorkerProcess) -> Iterator[Event]:
        if worker.state is not WorkerState.STARTING:
            raise ProtocolError(f"ready, in state {worker.state.name}")
        worker.starts_failed = 0
        self._state.worker_ready(worker.index, time.monotonic_ns())
        self._enter(worker, WorkerState.DRAINING if self._draining else WorkerState.READY)
        if not self._booting and not self._draining:
            yield CameBack(worker.index)
            log.info("worker %d runs again (process %d)", worker.index, process.pid)

    def condemn(self, index: int, why: str) -> None:
        """Kill a worker, and log why. It is replaced when it is reaped."""
        process = self.workers[index].process
        if process is not None and process.condemned is None and process.exit_code() is None:
            log.error("worker %d (process %d) %s", index, process.pid, why)
            process.condemned = why
            process.signal(signal.SIGKILL)

    # ---------------------------------------------------------------------------- death and life

    def reap(self) -> Iterator[Event]:
        """Bury the dead, and replace them. Raises BootFailed while booting."""
        for worker in self.workers:
            process = worker.process
            code = process.exit_code() if process is not None else None
            if process is not None and code is not None:
                yield from self._hear(worker)  # messages from before its death
                yield from self._bury(worker, process, code)

    def _bury(self, worker: PoolWorker, process: WorkerProcess, code: int) -> Iterator[Event]:
        now_ns = time.monotonic_ns()
        worker.process = None
        process.close()
        self._state.worker_reaped(worker.index, now_ns)
        if self._draining and code == 0:
            self._enter(worker, WorkerState.EXITED)
            return
        lost = self._state.recover(worker.index)
        why = process.why_it_ended(code)
        if self._booting:
            raise BootFailed(f"worker {worker.index} could not start: {why}")
        log.error("worker %d died: %s; %d packets lost in the crash", worker.index, why, lost)
        if self._draining:
            yield WentAway(worker.index)  # no replacement will count what its queues hold
            self._enter(worker, WorkerState.EXITED)
        else:
            yield from self._replace(worker, now_ns)

    def _replace(self, worker: PoolWorker, now_ns: int) -> Iterator[Event]:
        self._state.worker_restarted(worker.index)
        if worker.state is WorkerState.STARTING:
            worker.starts_failed += 1
        if worker.starts_failed >= MAX_FAILED_STARTS:
            yield WentAway(worker.index)
            self._enter(worker, WorkerState.FAILED)
            log.error(
                "worker %d is given up: it died before it was ready, %d times in a row. Its queues stay "
                "detached; once the cause above is gone, restart the instance",
                worker.index,
                worker.starts_failed,
            )
        elif worker.bucket.admit(now_ns):
            yield from self._restart(worker, now_ns)
        else:
            hint = "dies too often (does the same packet kill it again and again? see its deaths above)"
            yield from self._back_off(worker, hint, now_ns, worker.bucket.next_admission_ns(now_ns))

    def _restart(self, worker: PoolWorker, now_ns: int) -> Iterator[Event]:
        try:
            self._start(worker)
        except OSError as error:  # out of processes, descriptors or memory: others may give some back
            why = f"can't be started: {error.strerror}"
            yield from self._back_off(worker, why, now_ns, now_ns + START_RETRY_NS)
        else:
            yield Restarted(worker.index)

    def _back_off(self, worker: PoolWorker, why: str, now_ns: int, until_ns: int) -> Iterator[Event]:
        worker.restart_at_ns = until_ns
        yield WentAway(worker.index)
        self._enter(worker, WorkerState.BACKOFF)
        log.error(
            "worker %d %s: next start in %.1f s; meanwhile its queues are detached",
            worker.index,
            why,
            (until_ns - now_ns) / 1e9,
        )

    def restart_due(self, now_ns: int) -> Iterator[Event]:
        """Start again the workers that have backed off for long enough."""
        for worker in self.workers:
            if worker.state is WorkerState.BACKOFF and now_ns >= worker.restart_at_ns:
                worker.bucket.admit(now_ns)
                yield from self._restart(worker, now_ns)

    def watch(self, now_ns: int) -> None:
        """Kill a worker that hangs (SIGABRT shows where, then SIGKILL), or that closed its channel."""
        for worker in self.workers:
            process = worker.process
            if process is None:
                continue
            if process.abort_sent_ns:
                if now_ns - process.abort_sent_ns > ABORT_GRACE_NS:
                    process.signal(signal.SIGKILL)
            elif process.deaf_since_ns and now_ns - process.deaf_since_ns > ABORT_GRACE_NS:
                self.condemn(worker.index, "killed because it closed its channel")
            else:
                self._watch_heartbeat(worker, process, now_ns)

    def _watch_heartbeat(self, worker: PoolWorker, process: WorkerProcess, now_ns: int) -> None:
        timeout_ns = self._config.heartbeat_timeout_ms * 1_000_000
        limit_ns = START_TIMEOUT_NS if worker.state is WorkerState.STARTING else timeout_ns
        if now_ns - self._state.worker_heartbeat_ns(worker.index) > limit_ns:
            why = f"no heartbeat for {limit_ns / 1e9:.1f} s"
            log.error("worker %d hangs: %s", worker.index, why)
            process.condemned = process.condemned or why
            process.abort_sent_ns = now_ns
            process.signal(signal.SIGABRT)

    # ------------------------------------------------------------------------------------- drain

    def drain(self) -> None:
        """Have every worker receive no more, and forward what the rings hold. None is replaced any more."""
        self._draining = True
        for worker in self.workers:
            if worker.state is WorkerState.READY:
                self._enter(worker, WorkerState.DRAINING)
            self._state.order_drain(worker.index)
            self._wake(worker.index)

    def is_drained(self) -> bool:
        """Whether every worker that lives has stopped receiving and every ring is empty, or none lives."""
        live = [worker.index for worker in self.workers if worker.process is not None]
        if not live:
            return True
        return all(map(self._state.drains, live)) and not self._state.waiting_packets()

    def stop(self) -> None:
        """Have every worker count and drop what its queues hold, and end."""
        for worker in self.workers:
            self._state.order_stop(worker.index)
            self._wake(worker.index)

    def is_stopped(self) -> bool:
        return all(worker.process is None for worker in self.workers)

    def kill(self) -> None:
        for worker in self.workers:
            if worker.process is not None:
                self.condemn(worker.index, "killed because it didn't end")
                worker.process.kill()

    def close(self) -> None:
        """Close everything. A process that still runs, as after a failed boot, is killed."""
        for process in (self._standby, *(worker.process for worker in self.workers)):
            if process is not None:
                process.kill()
                process.close()
        self._standby = None
        for worker in self.workers:
            worker.process = None
        for fd in self._doorbells:
            os.close(fd)

    # ----------------------------------------------------------------------------------- waiting

    def wait(self, timeout_ms: int) -> None:
        """Sleep until a worker sends a message or dies, or the time is over."""
        wait_for((worker.process for worker in self.workers if worker.process is not None), timeout_ms)

    def fds(self) -> tuple[tuple[int, int], ...]:
        """The fds that report deaths and messages, each with its pid: fd numbers are reused after a death."""
        return tuple(
            (fd, process.pid)
            for process in (worker.process for worker in self.workers)
            if process is not None
            for fd in (process.pidfd, process.channel.fileno())[: 2 if process.is_heard else 1]
        )

    def _enter(self, worker: PoolWorker, state: WorkerState) -> None:
        worker.state = state
        self._state.worker_entered(worker.index, state)

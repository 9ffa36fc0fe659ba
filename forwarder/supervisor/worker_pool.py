# SPDX-License-Identifier: Apache-2.0
"""The worker pool: start, hear, reap, watch, restart and drain the workers.

The states of a worker are in forwarder.supervisor.worker_state. The pool knows nothing of ports and devices:
its methods yield events (forwarder.supervisor.worker_events). Guarantees that a dead
worker is reaped, that its losses are named, and that a worker which hangs, doesn't answer or breaks the
protocol is killed and replaced like any other that died. No deadline passes while the supervisor itself is
away (forwarder.supervisor.watch_clock).
"""

import logging
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace

from forwarder.config.model import Config
from forwarder.devices.crossing import Crossing
from forwarder.errors import BootFailed
from forwarder.logs import about
from forwarder.supervisor.placement import Placement
from forwarder.supervisor.pool_worker import PoolWorker, Question
from forwarder.supervisor.restart_policy import NextStart
from forwarder.supervisor.shared_state import SharedState
from forwarder.supervisor.standbys import Standbys
from forwarder.supervisor.watch_clock import WatchClock
from forwarder.supervisor.watcher import MESSAGES_PER_S, Watched, lie
from forwarder.supervisor.worker_events import (
    CameBack,
    Event,
    QueueGotStuck,
    QueueReported,
    Restarted,
    WentAway,
)
from forwarder.supervisor.worker_process import Launch, WorkerProcess, wait_for
from forwarder.supervisor.worker_state import WorkerState
from forwarder.worker.channel import ChannelClosed
from forwarder.worker.messages import (
    Ack,
    Delivery,
    Discarded,
    Failed,
    Go,
    Hello,
    Join,
    ProtocolError,
    QueueError,
    QueueStuck,
    Ready,
    Request,
    ToSupervisor,
    ToWorker,
)

ANSWER_TIMEOUT_NS = 2_000_000_000
ABORT_GRACE_NS = 500_000_000
START_TIMEOUT_NS = 40_000_000_000
AWAY_AFTER_NS = 500_000_000  # of a start, or of a death: as long as the kernel's queues hold what arrives
PLACE_EVERY_NS = 1_000_000_000
# By then the supervisor's own remedy, a kill and another start, has worked or failed.
REMEDY_NS = ABORT_GRACE_NS + START_TIMEOUT_NS

log = logging.getLogger("ttfwd")


class WorkerPool:
    """One PoolWorker for each queue, the doorbells that they share, and standby processes."""

    def __init__(
        self,
        config: Config,
        cpus: tuple[int, ...],
        state: SharedState,
        clock: WatchClock,
        launch: Launch,
        crossing: Crossing | str,
    ) -> None:
        self._config = config
        self._state = state
        self._clock = clock
        self._crossing = crossing if isinstance(crossing, Crossing) else None
        self._doorbells = tuple(os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC) for _ in cpus)
        self._seq = 0
        self._booting = True
        self._draining = False
        self._unprotected: str | None = None  # what was last said of the workers' sandbox
        self._placement = Placement(cpus)
        self._place_at_ns = 0
        self._standbys = Standbys(len(cpus), launch.start)
        watched = Watched(clock.now_ns())
        self.workers = tuple(PoolWorker(index, cpu, watched) for index, cpu in enumerate(cpus))

    # ------------------------------------------------------------------------------------- start

    def start_all(self) -> None:
        """Start every worker. Each waits for its ports, and for go. Raises OSError."""
        for worker in self.workers:
            self._start(worker)

    def _start(self, worker: PoolWorker) -> None:
        self._state.reset_run_state(worker.index)
        member = self._crossing.join(worker.index) if self._crossing is not None else None
        self._enter(worker, WorkerState.STARTING)
        process = worker.process = self.take_process()
        worker.watched = Watched(self._clock.now_ns())
        self._pin(worker, self._placement.for_start(worker.index))
        self._state.worker_started(worker.index, process.pid, time.monotonic_ns())
        config = self._config
        hello = Hello(
            worker=worker.index,
            cpu=worker.cpu,
            batch=config.batch,
            mode=config.mode,
            steering=config.steering,
            rx_mode=config.rx_mode,
            spin_us=config.spin_us,
            crosses=member is not None,
        )
        self._send(worker, hello, self._doorbells)
        for delivery in self._state.memory_for(worker.index):
            self._send(worker, delivery.message, delivery.fds)
        if member is not None:
            self._send(worker, Join(member.first, member.slots), (member.fd,))

    def take_process(self) -> WorkerProcess:
        """One that has been told nothing yet. Raises OSError."""
        return self._standbys.take()

    def keep_standbys(self, now_ns: int) -> None:
        """Have processes ready for the next deaths. Their start must not slow down that of a worker."""
        if not any(worker.state is WorkerState.STARTING and not worker.away for worker in self.workers):
            self._standbys.keep(now_ns)

    def place(self, now_ns: int) -> None:
        """Follow the CPUs that are allowed, every PLACE_EVERY_NS."""
        if now_ns < self._place_at_ns:
            return
        self._place_at_ns = now_ns + PLACE_EVERY_NS
        for worker in self.workers:
            if worker.process is not None and worker.state is WorkerState.READY:
                self._pin(worker, self._placement.look(worker.index, worker.process.pid, now_ns))

    def _pin(self, worker: PoolWorker, cpu: int) -> None:
        worker.cpu = cpu
        self._state.worker_placed(worker.index, cpu)

    def not_ready(self) -> list[int]:
        return [worker.index for worker in self.workers if worker.state is not WorkerState.READY]

    def away(self) -> list[int]:
        """The workers that went away and didn't come back: no queue should be steered to them."""
        return [worker.index for worker in self.workers if worker.away]

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

    def ask(self, index: int, delivery: Delivery[Request]) -> list[Question]:
        """Send a worker a request. Nothing is asked while it has no process."""
        process = self.workers[index].process
        return [] if process is None else [Question(index, process, self.request(index, delivery))]

    def ask_all(self, request_for: Callable[[int], Delivery[Request]]) -> list[Question]:
        """Send every worker a request of its own."""
        return [
            question
            for worker in self.workers
            for question in self.ask(worker.index, request_for(worker.index))
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

    def wake_all(self) -> None:
        """Have every worker's loop begin anew: it reads its run words."""
        for worker in self.workers:
            self._wake(worker.index)

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
        for line in process.output.lines():
            log.error("worker %d: %s", worker.index, line, extra=about(worker=worker.index))
        try:
            for message in process.messages(self._clock.now_ns()):
                if worker.watched.messages.admit(time.monotonic_ns()):
                    yield from self._heard(worker, process, message)
                else:
                    self.condemn(
                        worker.index, f"killed because it sends more than {MESSAGES_PER_S} messages a second"
                    )
        except ProtocolError as error:
            self.condemn(worker.index, f"killed for a protocol violation: {error}")

    def _heard(self, worker: PoolWorker, process: WorkerProcess, message: ToSupervisor) -> Iterator[Event]:
        match message:
            case Ready():
                yield from self._heard_ready(worker, process, message)
            case Ack():
                process.take_answer(message)
                if message.error is not None and self._booting:
                    raise BootFailed(f"worker {worker.index} can't take a port: {message.error}")
                if message.error is not None:
                    extra = about(worker=worker.index, reason=message.error)
                    log.error("worker %d refuses a request: %s", worker.index, message.error, extra=extra)
            case Failed():
                process.failed = message.error
            case Discarded():
                raise ProtocolError("discarded, where nothing was to be")
            case QueueError():
                yield QueueReported(worker.index, message.port_id, message.error)
            case QueueStuck():
                yield QueueGotStuck(worker.index, message.port_id)

    def _heard_ready(self, worker: PoolWorker, process: WorkerProcess, ready: Ready) -> Iterator[Event]:
        if worker.state is not WorkerState.STARTING:
            raise ProtocolError(f"ready, in state {worker.state.name}")
        if ready.unprotected not in (None, self._unprotected):
            self._unprotected = ready.unprotected
            log.warning("workers run without what is not permitted here: %s", ready.unprotected)
        worker.policy.got_ready()
        worker.well_seen_ns = self._clock.now_ns()
        worker.watched.beat_seen_ns = self._clock.now_ns()  # its loop begins now
        self._state.worker_ready(worker.index, time.monotonic_ns())
        self._enter(worker, WorkerState.DRAINING if self._draining else WorkerState.READY)
        if not self._booting and not self._draining:
            worker.away = False
            yield CameBack(worker.index)
            extra = about(worker=worker.index)
            log.info("worker %d runs again (process %d)", worker.index, process.pid, extra=extra)

    def condemn(self, index: int, why: str) -> None:
        """Kill a worker, and log why. It is replaced when it is reaped."""
        process = self.workers[index].process
        if process is not None and process.condemned is None and process.exit_code() is None:
            extra = about(worker=index, reason=why)
            log.error("worker %d (process %d) %s", index, process.pid, why, extra=extra)
            process.condemned = why
            self._kill(self.workers[index], process)

    def _kill(self, worker: PoolWorker, process: WorkerProcess) -> None:
        worker.watched.killed_ns = worker.watched.killed_ns or self._clock.now_ns()
        process.signal(signal.SIGKILL)

    def end(self, index: int, why: str, *, is_blameless: bool) -> None:
        """The same, and wait until it is dead. One that is blameless is replaced at once, however often."""
        self.condemn(index, why)
        process = self.workers[index].process
        if process is not None:
            self.workers[index].is_blameless = is_blameless
            process.kill()

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
        lost = self._recover(worker)
        why = process.why_it_ended(code)
        if self._booting:
            raise BootFailed(f"worker {worker.index} could not start: {why}")
        level = _level(worker, now_ns)
        text = "worker %d died: %s; %d packets lost in the crash"
        log.log(level, text, worker.index, why, lost, extra=about(worker=worker.index, reason=why))
        if self._draining:
            worker.away = True
            yield WentAway(worker.index)  # no replacement will count what its queues hold
            self._enter(worker, WorkerState.EXITED)
        else:
            self._standbys.worker_died(now_ns)
            yield from self._replace(worker, now_ns, level)
            self._state.worker_restarted(worker.index)  # last: no reader takes the dead one for its successor

    def _recover(self, worker: PoolWorker) -> int:
        """Count what a dead worker lost."""
        if self._crossing is None:
            return self._state.recover(worker.index)
        lost = self._state.recover(worker.index, self._crossing.member_fd(worker.index))
        self._crossing.leave(worker.index)
        return lost

    def _replace(self, worker: PoolWorker, now_ns: int, level: int) -> Iterator[Event]:
        if worker.is_blameless:
            worker.is_blameless = False
            yield from self._restart(worker, now_ns)
            return
        then = worker.policy.after_death(now_ns, was_ready=worker.state is not WorkerState.STARTING)
        if then.state is WorkerState.STARTING:
            yield from self._restart(worker, now_ns)
        elif then.state is WorkerState.BACKOFF:
            why = "dies too often (does the same packet kill it again and again? see its deaths above)"
            yield from self._postpone(worker, then, now_ns, why, level)
        else:
            why = f"died before it was ready, {worker.policy.failed_starts} times in a row"
            yield from self._postpone(worker, then, now_ns, why, level)

    def _restart(self, worker: PoolWorker, now_ns: int) -> Iterator[Event]:
        try:
            self._start(worker)
        except OSError as error:  # out of processes, descriptors or memory: others may give some back
            level = _level(worker, now_ns)
            then = worker.policy.without_process(now_ns)
            yield from self._postpone(worker, then, now_ns, f"can't be started: {error.strerror}", level)
        else:
            yield Restarted(worker.index)

    def _postpone(
        self, worker: PoolWorker, then: NextStart, now_ns: int, why: str, level: int
    ) -> Iterator[Event]:
        worker.restart_at_ns = then.at_ns
        yield from self._goes_away(worker)
        self._enter(worker, then.state)
        seconds = (then.at_ns - now_ns) / 1e9
        text = "worker %d %s: next start in %.1f s; meanwhile its queues are detached"
        log.log(level, text, worker.index, why, seconds, extra=about(worker=worker.index, reason=why))

    def _goes_away(self, worker: PoolWorker) -> Iterator[Event]:
        if not worker.away:
            worker.away = True
            yield WentAway(worker.index)

    def restart_due(self, now_ns: int) -> Iterator[Event]:
        """Start again the workers that have waited for long enough."""
        for worker in self.workers:
            waits = worker.state in (WorkerState.BACKOFF, WorkerState.FAILED)
            if waits and now_ns >= worker.restart_at_ns:
                worker.policy.after_wait(now_ns)
                yield from self._restart(worker, now_ns)

    # ------------------------------------------------------------------------------------- watch

    def watch(self) -> Iterator[Event]:
        """Kill a worker that hangs (SIGABRT shows where, then SIGKILL), lies, or closed its channel."""
        now_ns = self._clock.now_ns()
        for worker in self.workers:
            if worker.process is not None:
                self._watch_process(worker, worker.process, now_ns)
                yield from self._watch_service(worker, now_ns)
                if worker.state is WorkerState.READY and worker.process.condemned is None:
                    worker.well_seen_ns = now_ns

    def beyond_remedy(self) -> list[int]:
        """The workers that haven't been well for longer than REMEDY_NS."""
        now_ns = self._clock.now_ns()
        return [worker.index for worker in self.workers if now_ns - worker.well_seen_ns > REMEDY_NS]

    def _watch_process(self, worker: PoolWorker, process: WorkerProcess, now_ns: int) -> None:
        heartbeat_ns = self._state.worker_heartbeat_ns(worker.index)
        run_state_seen = self._state.run_state_seen(worker.index)
        found = lie(heartbeat_ns, run_state_seen, time.monotonic_ns())
        silent_ns = worker.watched.silent_ns(heartbeat_ns, now_ns)
        timeout_ns = self._config.heartbeat_timeout_ms * 1_000_000
        limit_ns = START_TIMEOUT_NS if worker.state is WorkerState.STARTING else timeout_ns
        if worker.watched.killed_ns:
            return
        if process.abort_sent_ns:
            if now_ns - process.abort_sent_ns > ABORT_GRACE_NS:
                self._kill(worker, process)
        elif process.deaf_since_ns and now_ns - process.deaf_since_ns > ABORT_GRACE_NS:
            self.condemn(worker.index, "killed because it closed its channel")
        elif found is not None:
            self.condemn(worker.index, f"killed for what it wrote into shared memory: {found}")
        elif silent_ns > limit_ns:
            why = f"no heartbeat for {limit_ns / 1e9:.1f} s"
            log.error("worker %d hangs: %s", worker.index, why, extra=about(worker=worker.index, reason=why))
            process.condemned = why
            process.abort_sent_ns = now_ns
            process.signal(signal.SIGABRT)

    def _watch_service(self, worker: PoolWorker, now_ns: int) -> Iterator[Event]:
        """No flow waits for a start that takes long, nor for a process that the kernel doesn't let die.

        As long as another worker can take its flows: otherwise the kernel had better hold its packets.
        """
        others = (other for other in self.workers if other is not worker and not other.away)
        if self._draining or worker.away or not any(other.state is WorkerState.READY for other in others):
            return
        watched = worker.watched
        if watched.killed_ns and now_ns - watched.killed_ns > AWAY_AFTER_NS:
            text = "worker %d was killed and doesn't end: its queues are detached"
            log.error(text, worker.index, extra=about(worker=worker.index))
            yield from self._goes_away(worker)
        elif worker.state is WorkerState.STARTING and now_ns - watched.since_ns > AWAY_AFTER_NS:
            text = "worker %d starts slowly: its queues are detached until it is ready"
            log.warning(text, worker.index, extra=about(worker=worker.index))
            yield from self._goes_away(worker)

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
        living = self.living()
        return not living or (all(map(self._state.drains, living)) and not self._state.waiting_packets())

    def stop(self) -> None:
        """Have every worker count and drop what its queues hold, and end."""
        for worker in self.workers:
            self._state.order_stop(worker.index)
            self._wake(worker.index)

    def is_stopped(self) -> bool:
        return not self.living()

    def living(self) -> list[int]:
        return [worker.index for worker in self.workers if worker.process is not None]

    def kill(self) -> None:
        """Kill every worker that still lives."""
        for worker in self.workers:
            if worker.process is not None:
                self.condemn(worker.index, "killed because it didn't end")
                self._kill(worker, worker.process)  # it may have been condemned to less

    def close(self) -> None:
        """Close everything. A process that still runs, as after a failed boot, is killed."""
        self._standbys.close()
        for worker in self.workers:
            if worker.process is not None:
                worker.process.kill()
                worker.process.close()
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


def _level(worker: PoolWorker, now_ns: int) -> int:
    """The level of the log's lines about a death: a failing worker's tries appear once a minute."""
    loud = not worker.policy.is_failing or worker.lines.admit(now_ns)
    return logging.ERROR if loud else logging.DEBUG

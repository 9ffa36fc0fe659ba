# SPDX-License-Identifier: Apache-2.0
"""The worker pool: start, reap, watch, restart and drain the workers; tell them of ports.

A worker's state machine is in forwarder.supervisor.worker_process. What this guarantees: a dead worker is
reaped, its losses are named, and its replacement gets every port that there is; a worker that doesn't
answer is killed, never waited for longer than ACK_TIMEOUT_NS.
"""

import logging
import os
import select
import signal
import time
from collections.abc import Callable, Iterable
from typing import Any

from forwarder import drivers
from forwarder.config.model import Config
from forwarder.errors import BootFailed
from forwarder.native import lib, string
from forwarder.supervisor.shared_state import SharedState
from forwarder.supervisor.worker_process import Child, Process, State, describe_exit, doorbell
from forwarder.worker.channel import ChannelClosed, Message

ACK_TIMEOUT_NS = 2_000_000_000
ABORT_GRACE_NS = 500_000_000
START_TIMEOUT_NS = 20_000_000_000
START_RETRY_NS = 1_000_000_000
MAX_FAILED_STARTS = 5

log = logging.getLogger("ttfwd")


class Workers:
    """One Child a queue, and what they share."""

    def __init__(
        self,
        config: Config,
        cpus: tuple[int, ...],
        segments: SharedState,
        attach_all: Callable[["Workers", int], None],
        set_attached: Callable[[int, bool], None],
    ) -> None:
        """`attach_all` sends a worker every port; `set_attached` steers its queues to it or away."""
        self._config = config
        self._segments = segments
        self._attach_all = attach_all
        self._set_attached = set_attached
        self._doorbells = [doorbell() for _ in cpus]
        self._seq = 0
        self.booting = True
        self.draining = False
        self._standby: Process | None = None
        self._standby_at_ns = 0
        self.children = [Child(index, cpu) for index, cpu in enumerate(cpus)]

    # ------------------------------------------------------------------------------------- start

    def start(self, child: Child) -> None:
        self._segments.reset_run_state(child.index)
        self._enter(child, State.STARTING)  # before the pid: nobody sees a new process as READY
        process = child.process = self._take_process()
        stats = self._segments.worker(child.index)
        stats.pid = process.popen.pid
        stats.started_ns = stats.heartbeat_ns = time.monotonic_ns()
        config = self._config
        try:
            process.channel.send(
                "hello",
                self._doorbells,
                instance=config.name,
                worker=child.index,
                cpu=child.cpu,
                batch=config.batch,
                mode=getattr(lib, f"TTF_MODE_{config.mode.upper()}"),
                steering=getattr(lib, f"TTF_STEERING_{config.steering.upper()}"),
                rx_mode=getattr(lib, f"TTF_RX_{config.rx_mode.upper()}"),
                spin_us=config.spin_us,
            )
        except ChannelClosed as error:
            process.last_error = str(error)

    def _take_process(self) -> Process:
        """The standby, which has its interpreter's start behind it, or else a new process."""
        standby, self._standby = self._standby, None
        if standby is None:
            return Process.start()
        if standby.reap() is None:
            return standby
        standby.close()
        return Process.start()

    def _keep_standby(self, now_ns: int) -> None:
        """Have one process ready for the next death, once nobody is starting any more."""
        if self._standby is not None and self._standby.reap() is not None:
            self._standby.close()
            self._standby = None
            self._standby_at_ns = now_ns + START_RETRY_NS
        starting = any(child.state is State.STARTING for child in self.children)
        if self._standby is not None or starting or now_ns < self._standby_at_ns:
            return
        try:
            self._standby = Process.start()
        except OSError as error:
            log.debug("no standby: %s", error.strerror)
            self._standby_at_ns = now_ns + START_RETRY_NS

    def start_all(self) -> None:
        for child in self.children:
            self.start(child)

    def go(self, child: Child) -> None:
        """Send a starting worker all ports, and let it run."""
        self._attach_all(self, child.index)
        self._send(child, "go")

    def wait_ready(self, interrupted: Callable[[], None]) -> None:
        """At boot: until every worker is READY. Raises BootFailed with the first reason why one is not.

        `interrupted` raises when the user has had enough.
        """
        deadline_ns = time.monotonic_ns() + START_TIMEOUT_NS
        while any(child.state is not State.READY for child in self.children):
            if time.monotonic_ns() > deadline_ns:
                late = ", ".join(str(c.index) for c in self.children if c.state is not State.READY)
                raise BootFailed(f"worker {late}: not ready after {START_TIMEOUT_NS // 10**9} s")
            interrupted()
            self._wait_for(self.children, 100)
            self.receive()
            self.reap()

    # ---------------------------------------------------------------------------------- messages

    def _send(self, child: Child, op: str, fds: Iterable[int] = (), **body: Any) -> None:
        if child.process is None:
            return
        try:
            child.process.channel.send(op, list(fds), **body)
        except ChannelClosed as error:
            # Dead, or 64 KiB of messages behind: reaping or the heartbeat decides which.
            log.debug("worker %d: %s not sent: %s", child.index, op, error)

    def request(self, child: Child, op: str, fds: Iterable[int] = (), **body: Any) -> int:
        """Send a message that will be acknowledged. Returns its seq."""
        self._seq += 1
        self._send(child, op, fds, seq=self._seq, **body)
        self.wake(child.index)
        return self._seq

    def wake(self, index: int) -> None:
        self._segments.attention(index)
        os.eventfd_write(self._doorbells[index], 1)

    def broadcast(self, op: str, fds_of: Callable[[int], Iterable[int]], body: dict[str, Any]) -> list[str]:
        """Tell every worker and wait for the answers. Returns their errors.

        One that is starting reads it after its go, and answers when it is up. One that doesn't answer in
        time hangs, and is killed: its replacement will have the new state.
        """
        waiting: dict[int, int] = {}
        asked: dict[int, Process] = {}
        for child in self.children:
            if child.process is not None:
                waiting[child.index] = self.request(child, op, fds_of(child.index), **body)
                asked[child.index] = child.process
        errors = []
        deadline_ns = time.monotonic_ns() + ACK_TIMEOUT_NS
        while waiting and time.monotonic_ns() < deadline_ns:
            self._wait_for([self.children[i] for i in waiting], 50)
            self.receive()
            for index, seq in tuple(waiting.items()):
                process = asked[index]
                if process.acked >= seq:
                    del waiting[index]
                    if process.last_error:
                        errors.append(f"worker {index}: {process.last_error}")
                elif process.reap() is not None:
                    del waiting[index]
        for index in waiting:
            log.error("worker %d does not answer: killed", index)
            asked[index].signal(signal.SIGKILL)
            asked[index].popen.wait()
        return errors

    @staticmethod
    def _wait_for(children: Iterable[Child], timeout_ms: int) -> None:
        poller = select.poll()
        for child in children:
            if child.process is not None:
                poller.register(child.process.channel.socket, select.POLLIN)
                poller.register(child.process.pidfd, select.POLLIN)
        poller.poll(timeout_ms)

    def receive(self) -> None:
        """Read what the workers say."""
        for child in self.children:
            process = child.process
            try:
                while process is not None and (message := process.channel.receive()) is not None:
                    self._heard(child, process, message)
            except ChannelClosed:
                continue  # its death is seen by reap()

    def _heard(self, child: Child, process: Process, message: Message) -> None:
        match message.op:
            case "ready":
                child.starts_failed = 0
                self._segments.worker(child.index).ready_ns = time.monotonic_ns()
                self._enter(child, State.READY)
                if not self.booting:
                    self._set_attached(child.index, True)
                    log.info("worker %d runs again (process %d)", child.index, process.popen.pid)
            case "ack":
                process.acked = message.body["seq"]
                process.last_error = message.body["error"]
                if process.last_error and self.booting:
                    raise BootFailed(f"worker {child.index} could not take a port: {process.last_error}")
                if process.last_error:
                    log.error("worker %d: %s", child.index, process.last_error)
            case "failed":
                process.last_error = message.body["error"]
            case "queue_error":
                slot, error = message.body["slot"], message.body["error"]
                port = self._segments.port(slot)
                name = string(port.name)
                if error:
                    log.warning("port %s queue %d: %s", name, child.index, error)
                elif (driver := drivers.named(string(port.driver))) and driver.reports_recovery:
                    log.info("port %s queue %d works again", name, child.index)

    # ---------------------------------------------------------------------------- death and life

    def reap(self) -> None:
        """Bury the dead, name what they lost, and decide what comes next. Raises BootFailed while booting."""
        for child in self.children:
            process = child.process
            code = process.reap() if process is not None else None
            if process is None or code is None:
                continue
            self.receive()
            self._bury(child, process, code)

    def _bury(self, child: Child, process: Process, code: int) -> None:
        now_ns = time.monotonic_ns()
        child.process = None
        process.close()
        stats = self._segments.worker(child.index)
        stats.pid = 0
        stats.reaped_ns = now_ns
        if self.draining and code == 0:
            self._enter(child, State.EXITED)
            return
        lost = self._segments.recover(child.index)
        why = process.last_error or describe_exit(code)
        if self.booting:
            raise BootFailed(f"worker {child.index} could not start: {why}")
        log.error("worker %d died: %s; %d packets lost in the crash", child.index, why, lost)
        if self.draining:
            self._set_attached(child.index, False)  # nobody else will count what its queues hold
            self._enter(child, State.EXITED)
            return
        stats.restarts += 1
        if child.state is State.STARTING:
            child.starts_failed += 1
        if child.starts_failed >= MAX_FAILED_STARTS:
            self._set_attached(child.index, False)
            self._enter(child, State.FAILED)
            log.error("worker %d: %d starts failed, giving it up", child.index, child.starts_failed)
        elif child.bucket.admit(now_ns):
            self._restart(child, now_ns)
        else:
            self._back_off(child, "dies too often", now_ns, child.bucket.next_admission_ns(now_ns))

    def _restart(self, child: Child, now_ns: int) -> None:
        try:
            self.start(child)
        except OSError as error:  # out of processes, descriptors or memory: others may give some back
            self._back_off(child, f"can't be started: {error.strerror}", now_ns, now_ns + START_RETRY_NS)
        else:
            self.go(child)

    def _back_off(self, child: Child, why: str, now_ns: int, until_ns: int) -> None:
        child.restart_at_ns = until_ns
        self._set_attached(child.index, False)
        self._enter(child, State.BACKOFF)
        log.error(
            "worker %d %s: next start in %.1f s, its queues are detached meanwhile",
            child.index,
            why,
            (until_ns - now_ns) / 1e9,
        )

    def watch(self, now_ns: int) -> None:
        """Heartbeats: SIGABRT for a worker that stopped beating, SIGKILL if that doesn't end it."""
        timeout_ns = self._config.heartbeat_timeout_ms * 1_000_000
        for child in self.children:
            process = child.process
            if process is None or child.state not in (State.READY, State.STARTING, State.DRAINING):
                continue
            limit_ns = START_TIMEOUT_NS if child.state is State.STARTING else timeout_ns
            if process.abort_sent_ns:
                if now_ns - process.abort_sent_ns > ABORT_GRACE_NS:
                    process.signal(signal.SIGKILL)
            elif now_ns - self._segments.worker(child.index).heartbeat_ns > limit_ns:
                log.error("worker %d hangs: no heartbeat for %.1f s", child.index, limit_ns / 1e9)
                process.abort_sent_ns = now_ns
                process.signal(signal.SIGABRT)

    def reconcile(self, now_ns: int) -> None:
        """Start again what has backed off for long enough, and keep a standby."""
        for child in self.children:
            if child.state is State.BACKOFF and now_ns >= child.restart_at_ns:
                child.bucket.admit(now_ns)
                self._restart(child, now_ns)
        self._keep_standby(now_ns)

    # ------------------------------------------------------------------------------------- drain

    def tell_all(self, word: int) -> None:
        for child in self.children:
            self._segments.set_run_state(child.index, word)
            self.wake(child.index)

    def drain(self, deadline_ns: int) -> None:
        """Until every worker has stopped receiving and every ring is empty, or the time is over."""
        self.draining = True
        for child in self.children:
            if child.state is State.READY:
                self._enter(child, State.DRAINING)
        self.tell_all(lib.TTF_RUN_STATE_DRAIN)
        while time.monotonic_ns() < deadline_ns:
            self.reap()
            live = [child for child in self.children if child.process is not None]
            if not live:
                return
            seen = all(self._segments.run_state_seen(c.index) == lib.TTF_RUN_STATE_DRAIN for c in live)
            if seen and not self._segments.waiting_packets():
                return
            self._wait_for(live, 2)

    def stop(self, deadline_ns: int) -> None:
        """Have every worker end; kill those that don't in time."""
        self.draining = True
        self.tell_all(lib.TTF_RUN_STATE_STOP)
        while any(child.process is not None for child in self.children):
            if time.monotonic_ns() > deadline_ns:
                self.kill()
            self._wait_for(self.children, 20)
            self.reap()

    def kill(self) -> None:
        for child in self.children:
            if child.process is not None:
                log.error("worker %d does not end: killed", child.index)
                child.process.signal(signal.SIGKILL)
                child.process.popen.wait()

    def close(self) -> None:
        """Let go of everything; what still runs (a boot that failed) is killed."""
        for process in (self._standby, *(child.process for child in self.children)):
            if process is not None:
                process.signal(signal.SIGKILL)
                process.popen.wait()
                process.close()
        self._standby = None
        for child in self.children:
            child.process = None
        for fd in self._doorbells:
            os.close(fd)

    def fds(self) -> tuple[tuple[int, int], ...]:
        """What tells of deaths and messages, each with its process: a number is used again after a death."""
        return tuple(
            (fd, process.popen.pid)
            for process in (child.process for child in self.children)
            if process is not None
            for fd in (process.pidfd, process.channel.socket.fileno())
        )

    def _enter(self, child: Child, state: State) -> None:
        child.state = state
        self._segments.worker(child.index).state = int(state)

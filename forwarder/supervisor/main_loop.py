# SPDX-License-Identifier: Apache-2.0
"""The supervisor: boot, run, drain, stop. It owns the fds of all queues, and the shared memory.

    BOOT     -> RUNNING   every worker is READY
    BOOT     -> STOPPED   anything failed: what was made is removed, the reason is raised
    RUNNING  -> DRAINING  a signal, or `stop` over the control socket
    DRAINING -> STOPPED   the rings are empty, what the kernel held is counted, the workers are gone

One thread, one selector. While it is hung or busy the workers keep forwarding; when it dies they
die with it.
"""

import gc
import logging
import os
import resource
import selectors
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from forwarder import logs, rundir, shm
from forwarder.config.cpus import assign, cpus_for
from forwarder.config.model import Config, peers_of
from forwarder.control.rpc import MethodNotFound
from forwarder.control.server import Client, ControlServer
from forwarder.devices.claims import Claims
from forwarder.devices.crossing import Crossing
from forwarder.devices.devices import Devices
from forwarder.devices.journal import Journal
from forwarder.devices.port import Port
from forwarder.devices.sweep import sweep as sweep_devices
from forwarder.errors import BadRequest, BootFailed, Interrupted, LeftBehind, Stopping
from forwarder.supervisor import oom_score, worker_user
from forwarder.supervisor.captures import Captures
from forwarder.supervisor.closing import Closing
from forwarder.supervisor.device_follower import DeviceFollower
from forwarder.supervisor.discarder import Discarder
from forwarder.supervisor.live_ports import LivePorts
from forwarder.supervisor.memory_watch import MemoryWatch
from forwarder.supervisor.port_requests import PortRequests
from forwarder.supervisor.port_service import PortService
from forwarder.supervisor.port_table import PortTable
from forwarder.supervisor.service_manager import ServiceManager
from forwarder.supervisor.shared_state import SharedState
from forwarder.supervisor.signals import Signals
from forwarder.supervisor.watch_clock import STEP_NS, WatchClock
from forwarder.supervisor.worker_pool import WorkerPool
from forwarder.supervisor.worker_process import Launch

TICK_S = STEP_NS / 1e9
STOP_GRACE_NS = 3_000_000_000
BOOT_TIMEOUT_NS = 120_000_000_000  # on an emulated, overloaded machine it takes half of it

log = logging.getLogger("ttfwd")


@dataclass(frozen=True)
class Running:
    """The instance, for those who are told that it runs."""

    config: Config
    cpus: tuple[int, ...]
    ports: tuple[Port, ...]
    boot_ms: float


def _raise_descriptor_limit() -> None:
    """A queue is a file descriptor: the usual soft limit of 1024 is less than an instance may have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Supervisor:
    """One instance, whose lock the caller holds. run() returns when it has stopped; what it made is gone."""

    def __init__(self, config: Config, began_ns: int) -> None:
        """`began_ns`: CLOCK_MONOTONIC when the command began, for the boot time that stats show."""
        self._config = config
        self._began_ns = began_ns
        self._signals = Signals()
        self._manager = ServiceManager()
        self._selector = selectors.DefaultSelector()
        self._clock = WatchClock()
        self._closing = Closing()
        self._stopping = False
        self._ports_changed = False  # or it was tried
        self._drain_by_ns = 0  # of the WatchClock
        self._watched: tuple[tuple[int, int], ...] = ()

    def run(
        self, on_running: Callable[[Running], None], on_stopping: Callable[[], None] = lambda: None
    ) -> None:
        """Boot, then forward until told to stop. Raises TtfwdError when the boot fails, and LeftBehind.

        `on_running` is called once, when every worker is READY; `on_stopping` after everything is counted
        and while the counters are still there to be read.
        """
        _raise_descriptor_limit()
        with ExitStack() as stack:
            stack.callback(logs.repeats.say_all)
            stack.enter_context(self._signals.installed())
            stack.enter_context(self._selector)
            self._journal = Journal(self._config.name)
            self._claims = Claims(self._config.name)
            self._closing.later(stack, "the claims", self._claims.close)
            self._closing.later(stack, "the journal", self._close_journal)
            after_crash = self._sweep()
            self._listen(stack)
            on_running(self._boot(stack, after_crash))
            gc.collect()
            gc.freeze()  # what lives as long as the instance isn't looked through again
            self._manager.ready(self._status())
            while not self._stopping:
                self._turn()
            self._drain()
            self._closing.step("the last counters", on_stopping)
        if self._closing.failed:
            raise LeftBehind(
                f"stopped, and left behind (the log says why): {', '.join(self._closing.failed)}"
            )

    # -------------------------------------------------------------------------------------- boot

    def _sweep(self) -> bool:
        """Remove what a crash left behind. Returns whether there was anything."""
        segments = shm.sweep(self._config.name)
        for name in segments:
            log.warning("left over from a crash, removed: shared memory %s", name)
        undone = tuple(sweep_devices(self._journal, self._claims))
        for what in undone:
            log.warning("left over from an earlier start, undone: %s", what)
        return bool(segments or undone)

    def _close_journal(self) -> None:
        self._closing.failed += map(str, self._journal.left)
        self._journal.close()

    def _boot(self, stack: ExitStack, after_crash: bool) -> Running:
        config = self._config
        cpus = assign(config.queues, config.cpus, cpus_for(config.cpus))
        self._state = stack.enter_context(SharedState(config, cpus))
        crossing = Crossing.make(config.queues, config.batch)
        if isinstance(crossing, Crossing):
            self._closing.later(stack, "the crossing", crossing.close)
        devices = Devices(self._journal, self._claims, crossing, after_crash)
        self._closing.later(stack, "netlink sockets", devices.shutdown)
        self._table = PortTable(config)
        user = stack.enter_context(worker_user.claimed(config.name))
        launch = Launch(config.name, user, oom_score.protect_supervisor())
        self._pool = WorkerPool(config, cpus, self._state, self._clock, launch, crossing)
        self._ports = LivePorts(
            config, self._table, self._state, devices, Discarder(self._pool.take_process).discard
        )
        self._service = PortService(self._table, self._ports, self._pool, self._state, self._clock)
        self._requests = PortRequests(
            config, self._table, self._ports, self._pool, self._state, self._service
        )
        self._captures = Captures(self._state, self._pool)
        self._follower = DeviceFollower(self._table, self._state, devices)
        self._closing.later(stack, "the ports", self._ports.close_all)
        self._closing.later(stack, "the workers", self._pool.close)
        self._memory = MemoryWatch(self._state, self._pool)
        self._start_workers()
        self._open_ports()
        for worker in self._pool.workers:
            self._service.start(worker.index)
        self._wait_until_ready()
        self._selector.register(self._follower, selectors.EVENT_READ, None)
        stack.callback(self._selector.unregister, self._follower)
        now_ns = time.monotonic_ns()
        boot_ns = now_ns - self._began_ns
        self._state.instance_runs(boot_ns, now_ns)
        self._watch_processes()
        return Running(config, cpus, tuple(entry.port for entry in self._table), boot_ns / 1e6)

    def _start_workers(self) -> None:
        """They start while the devices are made: an interpreter's start is most of the boot."""
        try:
            self._pool.start_all()
        except OSError as error:  # out of processes or descriptors
            raise BootFailed(f"the workers can't be started: {error.strerror}") from None

    def _open_ports(self) -> None:
        for config in self._config.ports:
            try:
                self._ports.open(config)
            except OSError as error:  # out of descriptors
                raise BootFailed(f'port "{config.name}": {error.strerror or error}') from None
        if self._config.mode == "xconnect":
            for name, peer in peers_of(self._config.ports).items():
                self._ports.pair(self._table.named(name), self._table.named(peer))

    def _wait_until_ready(self) -> None:
        """Raises BootFailed with the first reason why a worker is not ready, and Interrupted."""
        deadline_ns = self._clock.now_ns() + BOOT_TIMEOUT_NS
        while late := self._pool.not_ready():
            if self._clock.now_ns() > deadline_ns:
                names = ", ".join(map(str, late))
                raise BootFailed(f"worker {names}: not ready after {BOOT_TIMEOUT_NS // 10**9} s")
            if self._signals.end_arrived():
                raise Interrupted("interrupted before the instance ran")
            self._pool.wait(100)
            self._service.act_on(self._pool.hear())
            self._service.act_on(self._pool.reap())
        self._pool.end_of_boot()

    def _listen(self, stack: ExitStack) -> None:
        """Open the control socket. Clients that connect during the boot are served after it."""
        path = rundir.socket_path(self._config.name)
        server = ControlServer(path, self._selector, self._handle)
        self._closing.later(stack, f"the control socket {path}", server.close)
        self._selector.register(self._signals, selectors.EVENT_READ, None)
        stack.callback(self._selector.unregister, self._signals)

    # -------------------------------------------------------------------------------------- run

    def _turn(self) -> None:
        """Sleep until something happens, then look after everything once, and last serve requests."""
        events = self._selector.select(TICK_S)
        if self._signals.end_arrived():
            self._drain_until(self._config.drain_timeout_ms)
        now_ns = time.monotonic_ns()
        self._memory.look_when_due(now_ns)
        self._service.act_on(self._pool.hear())
        self._service.act_on(self._pool.reap())
        self._state.heartbeat(now_ns)
        self._service.act_on(self._pool.watch())
        self._service.act_on(self._pool.restart_due(now_ns))
        self._manager.feed(now_ns, self._pool.beyond_remedy())
        self._pool.keep_standbys(now_ns)
        self._pool.place(now_ns)
        self._service.log_reports(now_ns)
        self._serve(events)
        for entry in self._follower.follow(now_ns):
            self._service.tell_of_device(entry)
        self._service.renew_due_queues(now_ns)
        if not self._stopping:
            self._manager.status(self._status())
        logs.repeats.say_due()

    def _status(self) -> str:
        """In one line, for the service manager."""
        workers, late, ports = len(self._pool.workers), len(self._pool.not_ready()), len(self._table)
        if late:
            return f"{workers - late} of {workers} workers are ready, {ports} ports"
        return f"{workers} workers, {ports} ports"

    def _serve(self, events: list[tuple[selectors.SelectorKey, int]]) -> None:
        self._watch_processes()  # before a new client gets the number of a dead process' fd
        for key, _ in events:
            if key.data is not None:
                key.data()
        if self._ports_changed:
            # Errors of pyroute2 refer to themselves, and to the frames that know the port: without this, its
            # namespace would stay open until Python happens to look for such cycles.
            self._ports_changed = False
            gc.collect()

    def _watch_processes(self) -> None:
        """Keep the selector on the processes that there are; while none dies nothing is registered anew."""
        fds = self._pool.fds()
        if fds == self._watched:
            return
        for fd, _ in self._watched:
            self._selector.unregister(fd)
        for fd, _ in fds:
            self._selector.register(fd, selectors.EVENT_READ, None)
        self._watched = fds

    # ---------------------------------------------------------------------------------- requests

    def _handle(self, method: str, params: dict[str, Any], client: Client) -> Any:
        """A request over the control socket. Raises TtfwdError when it is refused."""
        match method:
            case "status":
                return {"instance": self._config.name, "pid": os.getpid(), "ports": len(self._table)}
            case "stop":
                return self._stop(params)
            case "connect" | "delete" if self._stopping:
                raise Stopping(f'instance "{self._config.name}" is stopping')
            case "connect":
                self._ports_changed = True
                return self._requests.connect(params)
            case "delete":
                self._ports_changed = True
                return self._requests.delete(params)
            case "capture":
                return self._captures.begin(params, client)
            case _:
                raise MethodNotFound(method)

    def _stop(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Drain for `timeout_ms` at most. If it drains already, only a `timeout_ms` changes the bound."""
        timeout_ms = params.get("timeout_ms", self._config.drain_timeout_ms)
        if not isinstance(timeout_ms, int) or isinstance(timeout_ms, bool) or timeout_ms < 0:
            raise BadRequest("timeout_ms: milliseconds, 0 or more")
        if "timeout_ms" in params or not self._stopping:
            self._drain_until(timeout_ms)
        return {"instance": self._config.name, "pid": os.getpid()}

    # ------------------------------------------------------------------------------------- drain

    def _drain(self) -> None:
        """Forward the packets under way, count and drop later ones, end every worker."""
        self._state.instance_drains()
        log.info("draining")
        self._wait_until_drained()
        # From here on our devices bring nothing new; what their queues hold is counted and dropped.
        self._closing.step("the links", self._ports.all_links_down)
        self._wait_until_stopped()
        self._ports.discard_all()
        self._memory.mend()
        self._state.count_abandoned()
        self._closing.step("the devices' counters", self._ports.update_all_counters)
        self._state.instance_stopped()

    def _drain_until(self, timeout_ms: int) -> None:
        self._stopping = True
        self._manager.stopping(timeout_ms)
        self._drain_by_ns = self._clock.now_ns() + timeout_ms * 1_000_000

    def _wait_until_drained(self) -> None:
        self._pool.drain()
        while self._clock.now_ns() < self._drain_by_ns:
            self._manager.feed(time.monotonic_ns())
            self._memory.look_when_due(time.monotonic_ns())
            self._service.act_on(self._pool.hear())
            self._service.act_on(self._pool.reap())
            self._service.act_on(self._pool.watch())
            if self._pool.is_drained():
                return
            self._pool.wait(2)
            self._serve(self._selector.select(0))

    def _wait_until_stopped(self) -> None:
        self._pool.stop()
        began_ns = self._clock.now_ns()
        while not self._pool.is_stopped():
            waited_ns = self._clock.now_ns() - began_ns
            if waited_ns > 2 * STOP_GRACE_NS:
                left = ", ".join(map(str, self._pool.living()))
                log.error("worker %s was killed and doesn't end: what it held is not counted", left)
                return
            if waited_ns > STOP_GRACE_NS:
                self._pool.kill()
            self._manager.feed(time.monotonic_ns())
            self._pool.wait(20)
            self._service.act_on(self._pool.hear())
            self._service.act_on(self._pool.reap())
            self._serve(self._selector.select(0))

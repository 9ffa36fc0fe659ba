# SPDX-License-Identifier: Apache-2.0
"""The supervisor: boot, run, drain, stop. It owns the tap fds and the shared memory.

    BOOT     -> RUNNING   every worker is READY
    BOOT     -> STOPPED   anything failed: what was made is removed, the reason is raised
    RUNNING  -> DRAINING  a signal, or `stop` over the control socket
    DRAINING -> STOPPED   the rings are empty, what the kernel held is counted, the workers are gone

One thread, one selector; in this order each time it wakes: signals, reap, heartbeats, reconcile. A signal
handler only enqueues (signal.set_wakeup_fd). While this process is hung or busy the workers keep
forwarding; when it dies they die with it.
"""

import logging
import os
import resource
import selectors
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from forwarder import rundir, shm
from forwarder.config.cpus import allowed_cpus, assign
from forwarder.config.model import Config, peers_of
from forwarder.control.rpc import MethodNotFound
from forwarder.control.server import ControlServer
from forwarder.devices.devices import Devices
from forwarder.devices.devices import sweep as sweep_devices
from forwarder.devices.port import Port
from forwarder.errors import BadRequest, Interrupted
from forwarder.native import lib
from forwarder.rundir import Journal
from forwarder.supervisor.port_table import Ports
from forwarder.supervisor.shared_state import SharedState
from forwarder.supervisor.worker_pool import Workers

TICK_S = 0.25
COUNTERS_EVERY_NS = 1_000_000_000
STOP_GRACE_NS = 3_000_000_000

log = logging.getLogger("ttfwd")


@dataclass(frozen=True)
class Running:
    """What there is to tell once the instance runs."""

    config: Config
    cpus: tuple[int, ...]
    ports: tuple[Port, ...]
    boot_ms: float


class Signals:
    """Signals as bytes on a socket: the handler itself does nothing."""

    def __init__(self) -> None:
        self._read, self._write = socket.socketpair()
        self._read.setblocking(False)
        self._write.setblocking(False)

    @contextmanager
    def installed(self) -> Iterator[None]:
        numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGCHLD]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup leaves it
            numbers.append(signal.SIGHUP)
        before = {number: signal.signal(number, lambda *_: None) for number in numbers}
        old_fd = signal.set_wakeup_fd(self._write.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(old_fd)
            for number, handler in before.items():
                signal.signal(number, handler)
            self._read.close()
            self._write.close()

    def fileno(self) -> int:
        return self._read.fileno()

    def take(self) -> set[int]:
        try:
            return set(self._read.recv(4096))
        except BlockingIOError:
            return set()


def _raise_descriptor_limit() -> None:
    """A queue is a file descriptor: the usual soft limit of 1024 is less than an instance may have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Supervisor:
    """One instance. run() returns when it has stopped; everything that it made is gone by then."""

    def __init__(self, config: Config, began_ns: int) -> None:
        """`began_ns`: CLOCK_MONOTONIC when the command began, for the boot time that stats show."""
        self._config = config
        self._began_ns = began_ns
        self._signals = Signals()
        self._selector = selectors.DefaultSelector()
        self._stopping = False
        self._drain_timeout_ms = config.drain_timeout_ms
        self._counters_at_ns = 0
        self._watched: tuple[tuple[int, int], ...] = ()

    def run(
        self, on_running: Callable[[Running], None], on_stopping: Callable[[], None] = lambda: None
    ) -> None:
        """Boot, then forward until told to stop. Raises TtfwdError when the boot fails.

        `on_running` is called once, when every worker is READY; `on_stopping` after everything is counted
        and while the counters are still there to be read.
        """
        _raise_descriptor_limit()
        with ExitStack() as stack:
            stack.enter_context(self._signals.installed())
            stack.enter_context(self._selector)
            stack.enter_context(rundir.hold(self._config.name))
            self._boot(stack, after_crash=self._sweep())
            on_running(
                Running(
                    self._config,
                    self._cpus,
                    tuple(self._ports.all()),
                    int(self._segments.instance.boot_ns) / 1e6,
                )
            )
            while not self._stopping:
                self._turn()
            self._drain()
            on_stopping()

    # -------------------------------------------------------------------------------------- boot

    def _sweep(self) -> bool:
        """Remove what a crash left behind. Returns whether there was anything."""
        left_over = Journal.left_over(self._config.name)
        swept = [f"shared memory {name}" for name in shm.sweep(self._config.name)]
        swept += sweep_devices(left_over)
        for what in swept:
            log.warning("left over from a crash, removed: %s", what)
        left_over.remove()
        return bool(swept)

    def _boot(self, stack: ExitStack, after_crash: bool) -> None:
        config = self._config
        self._cpus = assign(config.queues, config.cpus, allowed_cpus())
        self._segments = stack.enter_context(SharedState(config, self._cpus))
        journal = Journal(config.name)
        stack.callback(journal.remove)
        devices = Devices(journal, after_crash)
        stack.callback(devices.shutdown)
        self._ports = Ports(config, self._segments, devices)
        stack.callback(self._ports.close)
        self._workers = Workers(
            config, self._cpus, self._segments, self._ports.attach_all, self._ports.set_attached
        )
        stack.callback(self._workers.close)
        # Workers start while the devices are made: an interpreter's start is most of the boot.
        self._workers.start_all()
        for port in config.ports:
            self._ports.open(port)
        peers = peers_of(config.ports) if config.mode == "xconnect" else {}
        for name, peer in peers.items():
            slot, other = self._ports.slot_of(name), self._ports.slot_of(peer)
            if slot is not None and other is not None:
                self._ports.pair(slot, other)
        for child in self._workers.children:
            self._workers.go(child)
        self._workers.wait_ready(self._check_interrupted)
        self._workers.booting = False
        path = rundir.socket_path(config.name)
        stack.callback(ControlServer(path, self._selector, self._handle).close)
        self._selector.register(self._signals, selectors.EVENT_READ, None)
        stack.callback(self._selector.unregister, self._signals)
        instance = self._segments.instance
        instance.boot_ns = time.monotonic_ns() - self._began_ns
        instance.heartbeat_ns = time.monotonic_ns()
        instance.state = lib.TTF_INSTANCE_RUNNING
        self._watch_processes()

    def _check_interrupted(self) -> None:
        if self._signals.take() & {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}:
            raise Interrupted("interrupted before the instance ran")

    # -------------------------------------------------------------------------------------- run

    def _turn(self) -> None:
        """Sleep until something happens, then: signals, reap, heartbeats, reconcile, requests."""
        events = self._selector.select(TICK_S)
        if self._signals.take() & {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}:
            self._stopping = True
        self._workers.receive()
        self._workers.reap()
        now_ns = time.monotonic_ns()
        self._segments.instance.heartbeat_ns = now_ns
        self._workers.watch(now_ns)
        self._workers.reconcile(now_ns)
        self._watch_processes()  # before a new client gets the number of a dead process' fd
        for key, _ in events:
            if key.data is not None:
                key.data()
        if now_ns - self._counters_at_ns >= COUNTERS_EVERY_NS:
            self._counters_at_ns = now_ns
            self._ports.update_all_counters()

    def _watch_processes(self) -> None:
        """Keep the selector on the processes that there are; while none dies nothing is registered anew."""
        fds = self._workers.fds()
        if fds == self._watched:
            return
        for fd, _ in self._watched:
            self._selector.unregister(fd)
        for fd, _ in fds:
            self._selector.register(fd, selectors.EVENT_READ, None)
        self._watched = fds

    def _handle(self, method: str, params: dict[str, Any]) -> Any:
        match method:
            case "status":
                return {"instance": self._config.name, "pid": os.getpid(), "ports": len(self._ports.slots)}
            case "stop":
                timeout_ms = params.get("timeout_ms", self._config.drain_timeout_ms)
                if not isinstance(timeout_ms, int) or isinstance(timeout_ms, bool) or timeout_ms < 0:
                    raise BadRequest("timeout_ms: milliseconds, 0 or more")
                self._drain_timeout_ms = timeout_ms
                self._stopping = True
                return {"instance": self._config.name, "pid": os.getpid()}
            case "connect":
                return self._ports.connect(self._workers, params)
            case "delete":
                name = params.get("name")
                if not isinstance(name, str):
                    raise BadRequest("name: the name of a port")
                return self._ports.delete(self._workers, name)
            case _:
                raise MethodNotFound(method)

    # ------------------------------------------------------------------------------------- drain

    def _drain(self) -> None:
        instance = self._segments.instance
        instance.state = lib.TTF_INSTANCE_DRAINING
        log.info("draining")
        now_ns = time.monotonic_ns()
        self._workers.drain(now_ns + self._drain_timeout_ms * 1_000_000)
        # From here on our devices bring nothing new; what their queues hold is counted and dropped.
        self._ports.all_links_down()
        self._workers.stop(time.monotonic_ns() + STOP_GRACE_NS)
        self._ports.discard_all()
        self._segments.count_abandoned()
        self._ports.update_all_counters()
        instance.state = lib.TTF_INSTANCE_STOPPED

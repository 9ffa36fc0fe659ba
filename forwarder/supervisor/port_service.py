# SPDX-License-Identifier: Apache-2.0
"""Has the workers serve the ports. It alone knows the worker pool and the ports both.

It acts on the pool's events: a worker that starts gets every port, one that went away loses its queues. And
it tells the workers of ports that come, change and go. What a worker says of a port is checked here.
"""

import logging
import time
from collections.abc import Callable, Iterable

from forwarder.devices.port import RenewablePort
from forwarder.logs import about
from forwarder.supervisor.live_ports import LivePorts
from forwarder.supervisor.pool_worker import Question
from forwarder.supervisor.port_table import PortTable, TablePort
from forwarder.supervisor.queue_reports import QueueReports
from forwarder.supervisor.shared_state import SharedState
from forwarder.supervisor.stuck_queues import StuckQueues
from forwarder.supervisor.watch_clock import WatchClock
from forwarder.supervisor.worker_events import (
    CameBack,
    Event,
    QueueGotStuck,
    QueueReported,
    Restarted,
    WentAway,
)
from forwarder.supervisor.worker_pool import ANSWER_TIMEOUT_NS, WorkerPool
from forwarder.supervisor.worker_process import wait_for
from forwarder.worker.messages import Delivery, Request

log = logging.getLogger("ttfwd")


class PortService:
    def __init__(
        self, table: PortTable, ports: LivePorts, pool: WorkerPool, state: SharedState, clock: WatchClock
    ) -> None:
        self._table = table
        self._ports = ports
        self._pool = pool
        self._state = state
        self._clock = clock
        self._reports = QueueReports()
        self._stuck = StuckQueues()

    # ------------------------------------------------------------------------------------ events

    def act_on(self, events: Iterable[Event]) -> None:
        """Send messages to workers and steer ports, as the worker pool's events require."""
        for event in events:
            match event:
                case Restarted(worker):
                    self.start(worker)
                case CameBack(worker):
                    self._state.worker_lives(worker, True)
                    self._ports.steer_to(worker)
                case WentAway(worker):
                    self._state.worker_lives(worker, False)
                    self._ports.steer_away_from(worker)
                case QueueReported():
                    self._tell_of_queue(event)
                case QueueGotStuck(worker, port_id):
                    self._note_stuck_queue(worker, port_id)

    def start(self, worker: int) -> None:
        """Send a starting worker every port, and let it run."""
        for delivery in self._table.attach_all(worker):
            self._pool.request(worker, delivery)
        self._pool.go(worker)

    # ------------------------------------------------------------------------ what workers report

    def _tell_of_queue(self, report: QueueReported) -> None:
        entry = self._entry_of(report.worker, report.port_id, "queue_error")
        if entry is not None and (report.error is not None or entry.port.driver.reports_recovery):
            self._reports.add(entry.port.name, report.worker, report.error, time.monotonic_ns())

    def _entry_of(self, worker: int, port_id: int, said: str) -> TablePort | None:
        """The port that a worker spoke of. None if it has no queue of it: then the worker is killed."""
        entry = self._table.get(port_id)
        if entry is not None and worker < entry.port.queues:
            return entry
        what = f"{said} of port {port_id}, of which it has no queue"
        self._pool.condemn(worker, f"killed for a protocol violation: {what}")
        return None

    def _note_stuck_queue(self, worker: int, port_id: int) -> None:
        entry = self._entry_of(worker, port_id, "queue_stuck")
        if entry is None:
            return
        if isinstance(entry.port, RenewablePort):
            self._stuck.add(worker, port_id)
        else:
            what = f"queue_stuck of port {port_id}, whose queues never are"
            self._pool.condemn(worker, f"killed for a protocol violation: {what}")

    def renew_due_queues(self, now_ns: int) -> None:
        for worker, port_id in self._stuck.due(now_ns):
            self._renew_queue(worker, port_id)

    def _renew_queue(self, worker: int, port_id: int) -> None:
        """Take a stuck queue from its worker, renew it, and give it back."""
        entry = self._table.get(port_id)
        if entry is None or not isinstance(entry.port, RenewablePort):
            return  # deleted since
        name = entry.port.name
        log.warning(
            "port %s queue %d: the kernel fills its packet ring no more, perhaps because of a GSO frame "
            "that it can't describe; the queue gets a new ring",
            name,
            worker,
            extra=about(port=name, worker=worker),
        )
        asked = self._pool.ask(worker, self._table.detach(port_id))
        if self._refusals(asked) or not all(question.process.exit_code() is None for question in asked):
            return  # its next process gets the queue as it is, and says the same
        try:
            entry.port.renew(worker)
        except OSError as error:
            extra = about(port=name, worker=worker, reason=error.strerror)
            log.error("port %s queue %d: no new ring: %s", name, worker, error.strerror, extra=extra)
        self._pool.request(worker, self._table.attach(port_id, worker))
        for other in self._table:
            if other.peer == port_id:
                self._pool.request(worker, self._table.set_peer(other.port_id))

    def log_reports(self, now_ns: int) -> None:
        """Log which queues stopped, or work again."""
        self._reports.tell(now_ns)

    def forget(self, entry: TablePort) -> None:
        """The port is gone: no report of its queues is logged any more."""
        self._reports.forget(entry.port.name)

    # --------------------------------------------------------------------------------- questions

    def ask_all(self, request_for: Callable[[int], Delivery[Request]]) -> list[str]:
        """Send every worker a request and wait for the answers. Returns why workers refuse."""
        return self._refusals(self._pool.ask_all(request_for))

    def tell_of_device(self, entry: TablePort) -> None:
        """Tell the workers what a port's device is like now."""
        self.ask_all(lambda worker: self._table.update(entry.port_id, worker))

    def _refusals(self, questions: list[Question]) -> list[str]:
        """Wait for answers. Returns why workers refuse.

        A worker that is starting answers after `go`. One that doesn't answer in time hangs, and is killed.
        Its replacement gets every port that there is by then.
        """
        deadline_ns = self._clock.now_ns() + ANSWER_TIMEOUT_NS
        while self._clock.now_ns() < deadline_ns and (waiting := [q for q in questions if q.is_open]):
            wait_for([question.process for question in waiting], 50)
            self.act_on(self._pool.hear())
        self._pool.give_up_on(questions)
        return [f"worker {question.worker}: {question.refusal}" for question in questions if question.refusal]

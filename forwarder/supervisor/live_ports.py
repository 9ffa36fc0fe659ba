# SPDX-License-Identifier: Apache-2.0
"""The instance's ports as the kernel has them: opened, steered, discarded, counted and closed.

Each change is made in three places at once: the device, the port table, and what statistics say. Workers are
told by the supervisor. What happens to a port never touches the queues of another; an error of one device is
logged, and the others are served.
"""

import logging
import select
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from forwarder.config.model import Config, PortConfig
from forwarder.devices.devices import Devices
from forwarder.devices.port import Port
from forwarder.errors import DeviceError, TtfwdError, listed
from forwarder.logs import about
from forwarder.supervisor.port_table import PortTable, TablePort
from forwarder.supervisor.shared_state import SharedState
from forwarder.worker.messages import Delivery, Discard, Discarded

Queue = tuple[TablePort, int]  # of a worker

log = logging.getLogger("ttfwd")


class LivePorts:
    def __init__(
        self,
        config: Config,
        table: PortTable,
        state: SharedState,
        devices: Devices,
        discard: Callable[[Sequence[Delivery[Discard]]], Sequence[Discarded]],
    ) -> None:
        """`discard` empties queues whose content nobody with more rights than a worker may read."""
        self._discard_queues = discard
        self._config = config
        self._table = table
        self._state = state
        self._devices = devices

    # ----------------------------------------------------------------------------- come and go

    def open(self, config: PortConfig, away: Iterable[int] = ()) -> TablePort:
        """Make a port that no worker knows yet, with nothing steered to the workers that are away.

        Raises DeviceError or NotPermitted, and leaves nothing.
        """
        port_id = self._table.free_id()
        port = self._devices.open(config, self._config.queues_of(config))
        entry = self._table.add(port_id, port, self._state.describe_port(port_id, port))
        self._steer_away((entry, worker) for worker in away)
        self._state.write_device(port_id, port.device.counters, time.monotonic_ns())
        return entry

    def pair(self, entry: TablePort, peer: TablePort | None) -> None:
        """Give a port its peer, in this direction alone."""
        entry.peer = peer.port_id if peer is not None else None
        self._state.pair(entry.port_id, entry.peer)

    def close(self, entry: TablePort) -> None:
        """Remove a port that every worker has detached. Packets left in its queues are dropped by name."""
        # A worker that is away, or out of frames, could not forward them.
        self._discard((entry, worker) for worker in range(entry.port.queues))
        for widowed in self._table.remove(entry.port_id):
            self._state.pair(widowed.port_id, None)
        self._state.clear_port(entry.port_id)
        self._close(entry)

    def close_all(self) -> None:
        """At the end: the statistics go on showing the ports as they were.

        Raises DeviceError if something of a port is left, after closing the others.
        """
        failed = []
        for entry in self._table:
            self._table.remove(entry.port_id)
            if not self._close(entry):
                failed.append(entry.port.name)
        if failed:
            raise DeviceError(f"not closed cleanly: {listed(failed)}")

    def _close(self, entry: TablePort) -> bool:
        """Whether nothing of the port is left. What is left is logged; for the instance it is gone."""
        try:
            self._devices.close(entry.port)
        except (OSError, TtfwdError) as error:
            extra = about(port=entry.port.name, reason=str(error))
            log.error("port %s: %s", entry.port.name, error, extra=extra)
            return False
        return True

    # --------------------------------------------------------------------------- a worker's queues

    def steer_to(self, worker: int) -> None:
        """Have the kernel steer packets to a worker's queues again."""
        for entry in self._table:
            if worker < entry.port.queues:
                _steer(entry.port, worker, True)

    def steer_away_from(self, worker: int) -> None:
        """Steer packets to the other queues. Those in a dead worker's queues are dropped by name."""
        self._steer_away((entry, worker) for entry in self._table)

    def _steer_away(self, queues: Iterable[Queue]) -> None:
        theirs = [(entry, worker) for entry, worker in queues if worker < entry.port.queues]
        self._discard(theirs)
        for entry, worker in theirs:
            _steer(entry.port, worker, False)

    def discard_all(self) -> None:
        """When no worker is left: count and drop the packets that devices which stay up got since."""
        self._discard((entry, worker) for entry in self._table for worker in range(entry.port.queues))

    def _discard(self, queues: Iterable[Queue]) -> None:
        held = []
        for entry, worker in queues:
            port = entry.port
            if _holds_packets(port.discard_fd(worker)):
                held.append((entry, worker))
            else:
                self._state.count_discarded(entry.port_id, worker, Discarded(kernel_drops=port.drops(worker)))
        if not held:
            return
        requests = [_discard_request(entry.port, worker) for entry, worker in held]
        for (entry, worker), found in zip(held, self._discard_queues(requests), strict=True):
            self._state.count_discarded(entry.port_id, worker, found)
            if found.error is not None:
                name = entry.port.name
                text = "port %s queue %d: its packets can't be counted: %s"
                log.error(text, name, worker, found.error, extra=about(port=name, worker=worker))

    # --------------------------------------------------------------------------------- the devices

    def link_down(self, entry: TablePort) -> None:
        """Have the kernel bring no more packets, if the device is ours. Its queues can still be read."""
        self._devices.link_down(entry.port)

    def all_links_down(self) -> None:
        for entry in self._table:
            self._devices.link_down(entry.port)

    def seen(self, entry: TablePort) -> dict[str, Any]:
        """The device as the host sees it now."""
        return self._devices.seen(entry.port)

    def update_all_counters(self) -> None:
        """Write the kernel's counters of each device."""
        for entry in self._table:
            counters = self._devices.counters(entry.port)
            if counters is not None:
                self._state.write_device(entry.port_id, counters, time.monotonic_ns())


def _holds_packets(fd: int) -> bool:
    """By the kernel's word: nothing is read that a worker can write."""
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    return any(events & select.POLLIN for _, events in poller.poll(0))


def _discard_request(port: Port, queue: int) -> Delivery[Discard]:
    return Delivery(Discard(port.emptied_by.number, port.header_bytes), (port.discard_fd(queue),))


def _steer(port: Port, queue: int, attached: bool) -> None:
    try:
        port.steer(queue, attached)
    except OSError as error:  # attaching an attached queue is EINVAL; a device that is gone is EBADFD
        log.debug("port %s queue %d: %s", port.name, queue, error)

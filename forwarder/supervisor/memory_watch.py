# SPDX-License-Identifier: Apache-2.0
"""Finds what workers spoilt in the shared memory, names and ends them, and mends it.

A worker writes its own counters and its own ends of handoff rings, and may write anything there. Such a
worker is named and replaced. A malformed ring costs its two ends alone. Nothing waits in silence for a worker
that is away.
"""

import logging

from forwarder.logs import about
from forwarder.supervisor.shared_state import RingFault, SharedState
from forwarder.supervisor.worker_pool import WorkerPool

LOOK_EVERY_NS = 200_000_000

log = logging.getLogger("ttfwd")


class MemoryWatch:
    def __init__(self, state: SharedState, pool: WorkerPool) -> None:
        self._state = state
        self._pool = pool
        self._next_ns = 0
        self._faults = [0] * len(pool.workers)  # of each worker: its counters, and rings at either end

    def look_when_due(self, now_ns: int) -> None:
        if now_ns >= self._next_ns:
            self._next_ns = now_ns + LOOK_EVERY_NS
            self.mend()
            self._drop_waiting()

    def mend(self) -> None:
        """Mend what is wrong. The workers that did it are dead or dying afterwards; reap() replaces them."""
        for worker in self._pool.workers:
            damage = self._state.damage(worker.index)
            if damage is not None:
                self._faults[worker.index] += 1
                log.error(
                    "worker %d spoilt its counters: %s; from now on the accounting is not exact",
                    worker.index,
                    damage,
                    extra=about(worker=worker.index, reason=str(damage)),
                )
                self._pool.condemn(worker.index, "killed because it spoilt its counters")
        for fault in self._state.ring_faults():
            self._mend_ring(fault)

    def _drop_waiting(self) -> None:
        for worker in self._pool.workers:
            if worker.process is None:
                self._state.drop_waiting(worker.index)

    def _mend_ring(self, fault: RingFault) -> None:
        """Either end may have done it, so both are replaced. Only the one with more faults is blamed: else a
        worker that spoils its rings again and again would drive all the others into backing off.
        """
        ring = f"handoff ring {fault.producer} -> {fault.consumer}"
        log.error("%s is malformed (%s): it is emptied, and both ends are replaced", ring, fault.indices)
        ends = (fault.producer, fault.consumer)
        for end in ends:
            self._faults[end] += 1
        most = max(self._faults[end] for end in ends)
        for end in ends:
            is_blameless = self._faults[end] < most
            self._pool.end(end, f"killed because {ring} is malformed", is_blameless=is_blameless)
        self._state.empty_ring(fault)
        for end in ends:
            if self._pool.workers[end].process is None:
                self._state.recover(end)  # buried before: nobody else will

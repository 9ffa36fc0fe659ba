# SPDX-License-Identifier: Apache-2.0
"""Rates between two snapshots of an instance. Pure; units are in the names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from forwarder.stats.counters import Counters, ratio
from forwarder.stats.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class CounterRates:
    """What a port, a queue or the instance counted within an interval."""

    interval_s: float
    counted: Counters

    @property
    def rx_packets_per_s(self) -> float:
        return self.counted.rx_packets / self.interval_s

    @property
    def rx_bits_per_s(self) -> float:
        return self.counted.rx_bytes * 8 / self.interval_s

    @property
    def tx_packets_per_s(self) -> float:
        return self.counted.tx_packets / self.interval_s

    @property
    def tx_bits_per_s(self) -> float:
        return self.counted.tx_bytes * 8 / self.interval_s

    @property
    def dropped_packets_per_s(self) -> float:
        return self.counted.dropped_packets / self.interval_s


@dataclass(frozen=True, slots=True)
class WorkerRates:
    """What a worker did within an interval."""

    interval_s: float
    packets: int
    cpu_ns: int
    busy_ns: int
    running_ns: int
    sleeps: int
    doorbells: int

    @property
    def packets_per_s(self) -> float:
        return self.packets / self.interval_s

    @property
    def cpu_ns_per_packet(self) -> float | None:
        return ratio(self.cpu_ns, self.packets)

    @property
    def cpu_percent(self) -> float:
        return 100 * self.cpu_ns / (self.interval_s * 1e9)

    @property
    def busy_percent(self) -> float | None:
        return ratio(100 * self.busy_ns, self.running_ns)

    @property
    def sleeps_per_s(self) -> float:
        return self.sleeps / self.interval_s

    @property
    def doorbells_per_s(self) -> float:
        return self.doorbells / self.interval_s


@dataclass(frozen=True, slots=True)
class Rates:
    """The rates between two snapshots. A rate that doesn't exist is None, or missing in its mapping."""

    interval_s: float
    total: CounterRates | None
    ports: Mapping[int, CounterRates]  # by port id
    queues: Mapping[tuple[int, int], CounterRates]  # by port id and queue
    workers: Mapping[int, WorkerRates]
    rings: Mapping[tuple[int, int], float]  # by producer and consumer: pushed packets per second


def rates(before: Snapshot, after: Snapshot) -> Rates:
    """Rates between two snapshots.

    No rate exists if the snapshots are of two starts of an instance, or in the wrong order. A port has no
    rate if its port id was another port's at `before`, or if a counter went backwards. No rate is negative.
    """
    interval_s = (after.taken_ns - before.taken_ns) / 1e9
    if interval_s <= 0 or before.instance.epoch != after.instance.epoch:
        return Rates(max(interval_s, 0.0), None, {}, {}, {}, {})

    def over(now: Counters, then: Counters) -> CounterRates | None:
        counted = now.since(then)
        return None if counted is None else CounterRates(interval_s, counted)

    ports: dict[int, CounterRates] = {}
    queues: dict[tuple[int, int], CounterRates] = {}
    then_ports = {(port.port_id, port.generation): port for port in before.ports}
    for port in after.ports:
        then_port = then_ports.get((port.port_id, port.generation))
        if then_port is None:
            continue
        if rate := over(port.counters, then_port.counters):
            ports[port.port_id] = rate
        then_queues = {queue.index: queue for queue in then_port.queues}
        for queue in port.queues:
            then_queue = then_queues.get(queue.index)
            if then_queue and (rate := over(queue.counters, then_queue.counters)):
                queues[port.port_id, queue.index] = rate

    workers: dict[int, WorkerRates] = {}
    for now, then in zip(after.workers, before.workers, strict=True):
        moved = (
            after.worker_packets(now.index) - before.worker_packets(now.index),
            now.cpu_ns - then.cpu_ns,
            now.busy_ns - then.busy_ns,
            now.running_ns - then.running_ns,
            now.sleeps - then.sleeps,
            now.doorbells - then.doorbells,
        )
        if min(moved) >= 0:
            workers[now.index] = WorkerRates(interval_s, *moved)

    pushed = {(ring.producer, ring.consumer): ring.pushed_packets for ring in before.rings}
    rings: dict[tuple[int, int], float] = {}
    for ring in after.rings:
        grown = ring.pushed_packets - pushed.get((ring.producer, ring.consumer), 0)
        if grown >= 0:
            rings[ring.producer, ring.consumer] = grown / interval_s
    return Rates(interval_s, over(after.counters, before.counters), ports, queues, workers, rings)

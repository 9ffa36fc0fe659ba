# SPDX-License-Identifier: Apache-2.0
"""What a running instance counts, as plain frozen data, and what follows from it.

Made by forwarder.stats.reader; used by `ttfwd stats`, the live view and the final accounting. `rates()`,
`accounting()` and the selections are pure functions of a `Snapshot`. Units are in the names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from forwarder.errors import UnknownName, listed
from forwarder.native import ffi, lib

# The supervisor beats many times a second; one that was silent for so long is hung, whatever its pid says.
SUPERVISOR_SILENT_NS = 5_000_000_000


# ---------------------------------------------------------------------------------------------- counters

SUMMED = (
    "rx_packets",
    "rx_bytes",
    "rx_calls",
    "rx_empty_calls",
    "tx_packets",
    "tx_bytes",
    "tx_calls",
    "generated_packets",
    "copied_packets",
    "kernel_drops",
)


def _ratio(over: float, under: float) -> float | None:
    return over / under if under else None


@dataclass(frozen=True, slots=True)
class Counters:
    """One `struct ttf_counters`, or a sum or difference of several. `drops` names every reason."""

    rx_packets: int = 0
    rx_bytes: int = 0
    rx_calls: int = 0
    rx_empty_calls: int = 0
    tx_packets: int = 0
    tx_bytes: int = 0
    tx_calls: int = 0
    generated_packets: int = 0
    copied_packets: int = 0
    kernel_drops: int = 0
    drops: Mapping[str, int] = field(default_factory=dict)
    rx_bursts: tuple[int, ...] = (0,) * lib.TTF_BURST_BUCKETS

    def __add__(self, other: Counters) -> Counters:
        return self._with(other, 1)

    def since(self, before: Counters) -> Counters | None:
        """What was counted after `before`; None if any counter went backwards."""
        counted = self._with(before, -1)
        values = (*(getattr(counted, name) for name in SUMMED), *counted.drops.values(), *counted.rx_bursts)
        return counted if min(values) >= 0 else None

    def _with(self, other: Counters, sign: int) -> Counters:
        return Counters(
            **{name: getattr(self, name) + sign * getattr(other, name) for name in SUMMED},
            drops={
                reason: self.drops.get(reason, 0) + sign * other.drops.get(reason, 0)
                for reason in {**self.drops, **other.drops}
            },
            rx_bursts=tuple(a + sign * b for a, b in zip(self.rx_bursts, other.rx_bursts, strict=True)),
        )

    @property
    def dropped_packets(self) -> int:
        return sum(self.drops.values())

    @property
    def rx_packets_per_call(self) -> float | None:
        """Packets per receiving system call, of the calls that received something; None without any."""
        return _ratio(self.rx_packets, self.rx_calls)

    @property
    def tx_packets_per_call(self) -> float | None:
        return _ratio(self.tx_packets, self.tx_calls)


def total(counters: Sequence[Counters]) -> Counters:
    return sum(counters, start=Counters())


def drop_reasons() -> tuple[str, ...]:
    """Every reason's name, in the order of `enum ttf_drop`."""
    return tuple(ffi.string(lib.ttf_drop_name(reason)).decode() for reason in range(lib.TTF_DROP_COUNT))


# ---------------------------------------------------------------------------------------------- snapshot


@dataclass(frozen=True, slots=True)
class Instance:
    name: str
    mode: str
    steering: str
    rx_mode: str
    state: str
    supervisor_pid: int
    supervisor_pid_exists: bool
    supervisor_heartbeat_age_ns: int | None
    uptime_s: float
    boot_ms: float | None
    batch: int
    ring_slots: int
    epoch: int

    @property
    def supervisor_alive(self) -> bool:
        age_ns = self.supervisor_heartbeat_age_ns
        return self.supervisor_pid_exists and age_ns is not None and age_ns <= SUPERVISOR_SILENT_NS


@dataclass(frozen=True, slots=True)
class Worker:
    index: int
    state: str
    pid: int
    cpu: int
    restarts: int
    lost_in_crash_packets: int
    heartbeat_age_ns: int | None
    cpu_ns: int
    busy_ns: int
    running_ns: int
    rounds: int
    sleeps: int
    doorbells: int
    pool_empty_rounds: int
    pool_frames: int
    pool_free_frames: int
    orphans: Counters
    retired: Counters


@dataclass(frozen=True, slots=True)
class Queue:
    index: int
    counters: Counters


@dataclass(frozen=True, slots=True)
class DeviceCounters:
    """The kernel's counters of the device, in the kernel's point of view."""

    age_ns: int
    rx_packets: int
    rx_bytes: int
    rx_dropped: int
    rx_errors: int
    tx_packets: int
    tx_bytes: int
    tx_dropped: int
    tx_errors: int


@dataclass(frozen=True, slots=True)
class Port:
    slot: int
    generation: int
    state: str
    name: str
    driver: str
    io: str | None  # how the driver moves bursts; None where it has one way only
    note: str
    offloads: tuple[str, ...]  # what its device takes over: names of forwarder.offloads
    netns: str
    mtu: int
    mac: str
    ifindex: int
    peer: str | None
    device: DeviceCounters | None
    queues: tuple[Queue, ...]

    @property
    def driver_and_io(self) -> str:
        return f"{self.driver}/{self.io}" if self.io else self.driver

    @property
    def counters(self) -> Counters:
        return total([queue.counters for queue in self.queues])

    @property
    def dropped_before_packets(self) -> int | None:
        """What the kernel had for us and dropped; None while the device was never read.

        What a tap sends is what we receive, so its full queue counts as tx_dropped. The device below a
        packet socket receives for us, and each socket drops on its own account besides.
        """
        if self.device is None:
            return None
        if self.driver == "packet":
            return self.device.rx_dropped + self.counters.kernel_drops
        return self.device.tx_dropped

    @property
    def dropped_after_packets(self) -> int | None:
        """What the kernel took from us and dropped; None while the device was never read."""
        if self.device is None:
            return None
        return self.device.tx_dropped if self.driver == "packet" else self.device.rx_dropped


@dataclass(frozen=True, slots=True)
class Ring:
    """One direction of one worker pair that was ever used."""

    producer: int
    consumer: int
    pushed_packets: int
    popped_packets: int
    dropped_packets: int
    bad_packets: int

    @property
    def depth_packets(self) -> int:
        return self.pushed_packets - self.popped_packets


@dataclass(frozen=True, slots=True)
class Snapshot:
    taken_ns: int  # CLOCK_MONOTONIC
    instance: Instance
    workers: tuple[Worker, ...]
    ports: tuple[Port, ...]
    rings: tuple[Ring, ...]

    @property
    def counters(self) -> Counters:
        """Sum over all live and deleted ports, and of what belongs to no port."""
        return total(
            [port.counters for port in self.ports]
            + [worker.orphans for worker in self.workers]
            + [worker.retired for worker in self.workers]
        )

    @property
    def settling(self) -> bool:
        """Whether packets may still be on their way, so that the accounting need not close yet."""
        return (
            self.instance.state != "stopped"
            and self.instance.supervisor_pid_exists
            and any(worker.state in ("starting", "ready", "draining") for worker in self.workers)
        )

    def worker_packets(self, index: int) -> int:
        """Packets that worker `index` handled: received from devices, generated, or taken from rings."""
        blocks = [queue.counters for port in self.ports for queue in port.queues if queue.index == index]
        blocks.append(self.workers[index].retired)
        own = sum(block.rx_packets + block.generated_packets for block in blocks)
        return own + sum(ring.popped_packets for ring in self.rings if ring.consumer == index)


def select_ports(snapshot: Snapshot, names: Sequence[str]) -> tuple[Port, ...]:
    """The ports of these names, all of them without any. Raises UnknownName."""
    known = {port.name for port in snapshot.ports}
    for name in names:
        if name not in known:
            raise UnknownName(f"no port is called {name!r}; ports: {listed(sorted(known))}")
    return tuple(port for port in snapshot.ports if not names or port.name in names)


def select_workers(snapshot: Snapshot, indices: Sequence[int]) -> tuple[Worker, ...]:
    """The workers of these numbers, all of them without any. Raises UnknownName."""
    known = {worker.index for worker in snapshot.workers}
    for index in indices:
        if index not in known:
            raise UnknownName(f"there is no worker {index}; workers: {listed(sorted(known))}")
    return tuple(worker for worker in snapshot.workers if not indices or worker.index in indices)


# ------------------------------------------------------------------------------------------------- rates


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
        return _ratio(self.cpu_ns, self.packets)

    @property
    def cpu_percent(self) -> float:
        return 100 * self.cpu_ns / (self.interval_s * 1e9)

    @property
    def busy_percent(self) -> float | None:
        return _ratio(100 * self.busy_ns, self.running_ns)

    @property
    def sleeps_per_s(self) -> float:
        return self.sleeps / self.interval_s

    @property
    def doorbells_per_s(self) -> float:
        return self.doorbells / self.interval_s


@dataclass(frozen=True, slots=True)
class Rates:
    """The rates between two snapshots. What has no rate (see `rates()`) is None, or missing in a mapping."""

    interval_s: float
    total: CounterRates | None
    ports: Mapping[int, CounterRates]  # by slot
    queues: Mapping[tuple[int, int], CounterRates]  # by slot and queue
    workers: Mapping[int, WorkerRates]
    rings: Mapping[tuple[int, int], float]  # by producer and consumer: pushed packets per second


def rates(before: Snapshot, after: Snapshot) -> Rates:
    """Rates between two snapshots.

    Nothing has a rate if the snapshots are of two starts of an instance or in the wrong order; a port has
    none if its slot held another port at `before`, or if a counter went backwards. No rate is negative.
    """
    interval_s = (after.taken_ns - before.taken_ns) / 1e9
    if interval_s <= 0 or before.instance.epoch != after.instance.epoch:
        return Rates(max(interval_s, 0.0), None, {}, {}, {}, {})

    def over(now: Counters, then: Counters) -> CounterRates | None:
        counted = now.since(then)
        return None if counted is None else CounterRates(interval_s, counted)

    ports: dict[int, CounterRates] = {}
    queues: dict[tuple[int, int], CounterRates] = {}
    then_ports = {(port.slot, port.generation): port for port in before.ports}
    for port in after.ports:
        then_port = then_ports.get((port.slot, port.generation))
        if then_port is None:
            continue
        if rate := over(port.counters, then_port.counters):
            ports[port.slot] = rate
        then_queues = {queue.index: queue for queue in then_port.queues}
        for queue in port.queues:
            then_queue = then_queues.get(queue.index)
            if then_queue and (rate := over(queue.counters, then_queue.counters)):
                queues[port.slot, queue.index] = rate

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


# -------------------------------------------------------------------------------------------- accounting


@dataclass(frozen=True, slots=True)
class Accounting:
    """Where every packet went: received + generated + copied = sent + dropped + waiting + lost in a crash."""

    received_packets: int
    generated_packets: int
    copied_packets: int
    sent_packets: int
    dropped_packets: Mapping[str, int]  # by reason
    waiting_packets: int  # in rings
    lost_in_crash_packets: int

    @property
    def taken_in_packets(self) -> int:
        return self.received_packets + self.generated_packets + self.copied_packets

    @property
    def explained_packets(self) -> int:
        return (
            self.sent_packets
            + sum(self.dropped_packets.values())
            + self.waiting_packets
            + self.lost_in_crash_packets
        )

    @property
    def difference_packets(self) -> int:
        """Not explained. While traffic runs: bursts in flight, and counters that moved during the reading."""
        return self.taken_in_packets - self.explained_packets

    @property
    def closes(self) -> bool:
        return self.difference_packets == 0


def accounting(snapshot: Snapshot) -> Accounting:
    counters = snapshot.counters
    return Accounting(
        received_packets=counters.rx_packets,
        generated_packets=counters.generated_packets,
        copied_packets=counters.copied_packets,
        sent_packets=counters.tx_packets,
        dropped_packets=counters.drops,
        waiting_packets=sum(ring.depth_packets for ring in snapshot.rings),
        lost_in_crash_packets=sum(worker.lost_in_crash_packets for worker in snapshot.workers),
    )

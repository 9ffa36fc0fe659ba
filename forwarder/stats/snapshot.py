# SPDX-License-Identifier: Apache-2.0
"""An instance at one moment, as plain frozen data. Units are in the names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from forwarder import drivers
from forwarder.errors import UnknownName, listed
from forwarder.stats.counters import Counters, total

# The supervisor beats several times a second. One that was silent for so long hangs, even if its pid exists.
SUPERVISOR_SILENT_NS = 5_000_000_000


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
    damaged: int  # how often counters were found damaged, and restored
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
    """The kernel's counters of the device, from the kernel's point of view."""

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
    port_id: int
    generation: int
    state: str
    name: str
    device_name: str  # the present name of its device
    link: str  # of its device: up, no_carrier, down or gone
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
        """Packets that the kernel dropped before we could receive them; None while the device was never read.

        The device counts some of them, and a packet socket counts its own.
        """
        driver = drivers.named(self.driver)
        if self.device is None or driver is None:
            return None
        dropped: int = getattr(self.device, driver.dropped_before)
        return dropped + self.counters.kernel_drops

    @property
    def dropped_after_packets(self) -> int | None:
        """Packets that the kernel took from us and dropped; None while the device was never read."""
        driver = drivers.named(self.driver)
        if self.device is None or driver is None:
            return None
        dropped: int = getattr(self.device, driver.dropped_after)
        return dropped


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
        """Whether packets may still be on their way. Until they arrive, the accounting need not close."""
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
            raise UnknownName(f'no port "{name}" (ports: {listed(sorted(known))})')
    return tuple(port for port in snapshot.ports if not names or port.name in names)


def select_workers(snapshot: Snapshot, indices: Sequence[int]) -> tuple[Worker, ...]:
    """The workers of these numbers, all of them without any. Raises UnknownName."""
    known = {worker.index for worker in snapshot.workers}
    for index in indices:
        if index not in known:
            raise UnknownName(f"no worker {index} (workers: {listed(sorted(known))})")
    return tuple(worker for worker in snapshot.workers if not indices or worker.index in indices)

# SPDX-License-Identifier: Apache-2.0
"""What a running instance counts, read from its shared memory without asking anyone.

Called by `ttfwd stats`, the live view and the supervisor's final accounting. Reading needs no lock and
stops nobody, so it works with the supervisor hung or dead. A `Snapshot` is plain frozen data; `rates()`,
`accounting()` and the selections are pure functions of it. Units are in the names.
"""

from __future__ import annotations

import mmap
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import posix_ipc
import psutil

from forwarder.errors import ExitCode, TtfwdError
from forwarder.native import ffi, lib, string
from forwarder.shm import SHM_DIRECTORY, stats_name

# The supervisor beats many times a second; one that was silent for so long is hung, whatever its pid says.
SUPERVISOR_SILENT_NS = 5_000_000_000

# A port slot is rewritten in microseconds. One that never settles was left by a supervisor that died there.
_READ_ATTEMPTS = 5
_READ_PAUSE_S = 0.001


class StatsError(TtfwdError):
    """Why there are no statistics to show, in words for the user."""


class NotRunningError(StatsError):
    """No instance of that name has a stats segment."""

    exit_code = ExitCode.NOT_RUNNING


class NotPermittedError(StatsError):
    """The segment belongs to another user."""

    exit_code = ExitCode.NOT_PERMITTED


class UnknownNameError(StatsError):
    """A port or worker was asked for that the instance doesn't have."""

    exit_code = ExitCode.USAGE


# ---------------------------------------------------------------------------------------------- counters

_SUMMED = (
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
        values = (*(getattr(counted, name) for name in _SUMMED), *counted.drops.values(), *counted.rx_bursts)
        return counted if min(values) >= 0 else None

    def _with(self, other: Counters, sign: int) -> Counters:
        return Counters(
            **{name: getattr(self, name) + sign * getattr(other, name) for name in _SUMMED},
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
    note: str
    netns: str
    mtu: int
    mac: str
    ifindex: int
    peer: str | None
    device: DeviceCounters | None
    queues: tuple[Queue, ...]

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
    """The ports of these names, all of them without any. Raises UnknownNameError."""
    known = {port.name for port in snapshot.ports}
    for name in names:
        if name not in known:
            raise UnknownNameError(f"no port is called {name!r}; ports: {_listed(sorted(known))}")
    return tuple(port for port in snapshot.ports if not names or port.name in names)


def select_workers(snapshot: Snapshot, indices: Sequence[int]) -> tuple[Worker, ...]:
    """The workers of these numbers, all of them without any. Raises UnknownNameError."""
    known = {worker.index for worker in snapshot.workers}
    for index in indices:
        if index not in known:
            raise UnknownNameError(f"there is no worker {index}; workers: {_listed(sorted(known))}")
    return tuple(worker for worker in snapshot.workers if not indices or worker.index in indices)


def _listed(known: Sequence[object]) -> str:
    return ", ".join(str(one) for one in known) or "none"


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


# ----------------------------------------------------------------------------------------------- reading


def running_instances() -> tuple[str, ...]:
    """Names of the instances that have a stats segment, whether or not their supervisor still lives."""
    prefix, suffix = "ttfwd.", ".stats"
    try:
        names = [path.name for path in SHM_DIRECTORY.iterdir()]
    except OSError:
        return ()
    return tuple(
        sorted(
            name.removeprefix(prefix).removesuffix(suffix)
            for name in names
            if name.startswith(prefix) and name.endswith(suffix) and len(name) > len(prefix + suffix)
        )
    )


class StatsReader:
    """Reads one stats segment. Owns its mapping; not for use by two threads at once."""

    def __init__(self, memory: mmap.mmap | bytearray, name: str) -> None:
        """Read the segment in `memory`, which the caller closes unless it came from `attach`.

        Raises StatsError if it isn't a stats segment that this version can read.
        """
        if len(memory) < ffi.sizeof("struct ttf_header"):
            raise StatsError(f"{name}: {len(memory)} bytes is too small for a stats segment")
        self._owned: mmap.mmap | None = None
        self._base: Any = ffi.from_buffer(memory)
        self._header: Any = ffi.cast("struct ttf_header *", self._base)
        try:
            self._check(len(memory), name)
        except StatsError:
            self.close()
            raise
        self._workers: int = self._header.workers
        self._ports: int = self._header.ports
        self._drop_reasons = drop_reasons()

    def _check(self, size_bytes: int, name: str) -> None:
        header = self._header
        if lib.ttf_header_check(self._base, size_bytes, lib.TTF_MAGIC_STATS) == 0:
            return
        if header.magic == 0:
            raise StatsError(f"{name}: the instance is still starting")
        if header.magic != lib.TTF_MAGIC_STATS:
            raise StatsError(f"{name}: not a stats segment (wrong magic)")
        if header.abi_version != lib.TTF_ABI_VERSION:
            raise StatsError(
                f"{name}: the instance has ABI version {header.abi_version}, this ttfwd has version "
                f"{lib.TTF_ABI_VERSION}; use the ttfwd that started it"
            )
        if header.total_bytes > size_bytes:
            raise StatsError(f"{name}: too small: {size_bytes} bytes of {header.total_bytes}")
        raise StatsError(f"{name}: its header contradicts itself; the segment was damaged")

    @classmethod
    def attach(cls, instance: str) -> Self:
        """Map the segment of a running instance read-only.

        Raises NotRunningError, NotPermittedError, or StatsError if it can't be read.
        """
        name = stats_name(instance)
        if "/" in instance or "\0" in instance or not instance:
            raise NotRunningError(f"no instance can be called {instance!r}")
        try:
            shared = posix_ipc.SharedMemory(name, read_only=True)
        except posix_ipc.ExistentialError:
            others = _listed(running_instances())
            raise NotRunningError(f"instance {instance!r} is not running; running: {others}") from None
        except posix_ipc.PermissionsError:
            raise NotPermittedError(f"{name}: not permitted; only its owner may read it") from None
        except (OSError, ValueError) as error:
            raise StatsError(f"{name}: {error}") from None
        try:
            memory = mmap.mmap(shared.fd, 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError):  # ValueError: created, but not yet given its size
            raise StatsError(f"{name}: too small: the instance is still starting") from None
        finally:
            shared.close_fd()
        try:
            reader = cls(memory, name)
        except StatsError:
            memory.close()
            raise
        reader._owned = memory
        return reader

    @property
    def epoch(self) -> int:
        """One value per start of an instance."""
        return int(self._header.epoch)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        if self._base is not None:
            self._header = None
            ffi.release(self._base)
            self._base = None
        if self._owned is not None:
            self._owned.close()
            self._owned = None

    def snapshot(self) -> Snapshot:
        """Everything at one moment, as far as one can tell without stopping the workers.

        A counter is never torn. Ports that are connected or deleted meanwhile are read again: what moves
        to `retired` with a deletion is then in one place, and a slot's name belongs to its counters.
        """
        for _ in range(_READ_ATTEMPTS):
            before = self._generations()
            snapshot = self._read()
            if before == self._generations() and not any(generation & 1 for generation in before):
                break
            time.sleep(_READ_PAUSE_S)
        return snapshot

    def _generations(self) -> tuple[int, ...]:
        return tuple(lib.ttf_stats_port(self._base, slot).generation for slot in range(self._ports))

    def _read(self) -> Snapshot:
        now_ns = time.monotonic_ns()
        return Snapshot(
            taken_ns=now_ns,
            instance=self._instance(now_ns),
            rings=tuple(self._rings()),
            workers=tuple(self._worker(index, now_ns) for index in range(self._workers)),
            ports=tuple(
                self._port(slot, now_ns)
                for slot in range(self._ports)
                if lib.ttf_stats_port(self._base, slot).state != lib.TTF_PORT_FREE
            ),
        )

    def _instance(self, now_ns: int) -> Instance:
        found = lib.ttf_stats_instance(self._base)
        states = {
            lib.TTF_INSTANCE_BOOT: "boot",
            lib.TTF_INSTANCE_RUNNING: "running",
            lib.TTF_INSTANCE_DRAINING: "draining",
            lib.TTF_INSTANCE_STOPPED: "stopped",
        }
        return Instance(
            name=string(found.name),
            mode=string(found.mode),
            steering=string(found.steering),
            rx_mode=string(found.rx_mode),
            state=states.get(found.state, "unknown"),
            supervisor_pid=found.pid,
            supervisor_pid_exists=found.pid > 0 and psutil.pid_exists(found.pid),
            supervisor_heartbeat_age_ns=_age_ns(found.heartbeat_ns, now_ns),
            uptime_s=(_age_ns(found.started_ns, now_ns) or 0) / 1e9,
            boot_ms=found.boot_ns / 1e6 if found.boot_ns else None,
            batch=found.batch,
            ring_slots=found.ring_slots,
            epoch=self.epoch,
        )

    def _worker(self, index: int, now_ns: int) -> Worker:
        found = lib.ttf_stats_worker(self._base, index)
        states = {
            lib.TTF_WORKER_NONE: "none",
            lib.TTF_WORKER_STARTING: "starting",
            lib.TTF_WORKER_READY: "ready",
            lib.TTF_WORKER_DRAINING: "draining",
            lib.TTF_WORKER_EXITED: "exited",
            lib.TTF_WORKER_BACKOFF: "backoff",
            lib.TTF_WORKER_FAILED: "failed",
        }
        return Worker(
            index=index,
            state=states.get(found.state, "unknown"),
            pid=found.pid,
            cpu=found.cpu,
            restarts=found.restarts,
            lost_in_crash_packets=found.lost_in_crash,
            heartbeat_age_ns=_age_ns(found.heartbeat_ns, now_ns),
            cpu_ns=found.cpu_ns,
            busy_ns=found.busy_ns,
            running_ns=found.running_ns,
            rounds=found.rounds,
            sleeps=found.sleeps,
            doorbells=found.doorbells,
            pool_empty_rounds=found.pool_empty_rounds,
            pool_frames=found.pool_frames,
            pool_free_frames=found.pool_free_frames,
            orphans=self._counters(found.orphans),
            retired=self._counters(found.retired),
        )

    def _port(self, slot: int, now_ns: int) -> Port:
        found = lib.ttf_stats_port(self._base, slot)
        device = found.device
        states = {lib.TTF_PORT_UP: "up", lib.TTF_PORT_DELETING: "deleting"}
        peer = found.peer
        queues = [
            Queue(index, self._counters(lib.ttf_stats_queue(self._base, slot, index)))
            for index in range(self._workers)
        ]
        return Port(
            slot=slot,
            generation=found.generation,
            state=states.get(found.state, "unknown"),
            name=string(found.name),
            driver=string(found.driver),
            note=string(found.note),
            netns=string(found.netns),
            mtu=found.mtu,
            mac=bytes(found.mac)[:6].hex(":"),
            ifindex=found.ifindex,
            peer=string(lib.ttf_stats_port(self._base, peer).name) if 0 <= peer < self._ports else None,
            device=None
            if not device.updated_ns
            else DeviceCounters(
                age_ns=max(0, now_ns - device.updated_ns),
                rx_packets=device.rx_packets,
                rx_bytes=device.rx_bytes,
                rx_dropped=device.rx_dropped,
                rx_errors=device.rx_errors,
                tx_packets=device.tx_packets,
                tx_bytes=device.tx_bytes,
                tx_dropped=device.tx_dropped,
                tx_errors=device.tx_errors,
            ),
            # A worker without a queue of this port may still have dropped packets of it.
            queues=tuple(q for q in queues if q.index < found.queues or q.counters != self._no_counters()),
        )

    def _no_counters(self) -> Counters:
        return Counters(drops=dict.fromkeys(self._drop_reasons, 0))

    def _counters(self, found: Any) -> Counters:
        return Counters(
            **{name: getattr(found, name) for name in _SUMMED},
            drops=dict(zip(self._drop_reasons, list(found.drops), strict=False)),
            rx_bursts=tuple(found.rx_bursts),
        )

    def _rings(self) -> list[Ring]:
        used = []
        for producer in range(self._workers):
            for consumer in range(self._workers):
                found = lib.ttf_stats_ring(self._base, producer, consumer)
                # Popped first: a ring that moves meanwhile never looks as if it held less than nothing.
                popped, bad, pushed, dropped = found.popped, found.bad, found.pushed, found.dropped
                if pushed or dropped:
                    used.append(Ring(producer, consumer, pushed, popped, dropped, bad))
        return used


def _age_ns(stamp_ns: int, now_ns: int) -> int | None:
    """Nanoseconds since a stamp, never negative: coarse clocks lag. None if there was no stamp."""
    return max(0, now_ns - stamp_ns) if stamp_ns else None

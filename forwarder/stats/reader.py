# SPDX-License-Identifier: Apache-2.0
"""Reads an instance's counters from its shared memory without asking anyone.

Reading needs no lock and stops nobody, so it works with the supervisor hung or dead.
"""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

import psutil

from forwarder import offloads, rundir, shm_names
from forwarder.errors import NotRunning, SegmentMissing
from forwarder.native import ffi, lib, string
from forwarder.shm import Segment
from forwarder.stats.counters import SUMMED, Counters, drop_reasons
from forwarder.stats.snapshot import DeviceCounters, Instance, Port, Queue, Ring, Snapshot, Worker

if TYPE_CHECKING:
    from forwarder.native import ttf_counters, ttf_worker_status

RUN_STATES = {
    lib.TTF_INSTANCE_BOOT: "boot",
    lib.TTF_INSTANCE_RUNNING: "running",
    lib.TTF_INSTANCE_DRAINING: "draining",
    lib.TTF_INSTANCE_STOPPED: "stopped",
}
# A port's block is written in microseconds. One that never settles was left by a supervisor that died there.
_READ_ATTEMPTS = 5
_READ_PAUSE_S = 0.001


def running_instances() -> tuple[str, ...]:
    """Names of the instances that have a stats segment, whether or not their supervisor still lives."""
    return shm_names.instances(rundir.owners())


class StatsReader:
    """Reads one stats segment, which it owns. Not for use by two threads at once."""

    def __init__(self, segment: Segment) -> None:
        """Read a segment that was checked; close() closes it."""
        self._segment = segment
        self._base = segment.base
        self._header = ffi.cast("struct ttf_header *", segment.base)
        self._workers = self._header.workers
        self._ports = self._header.ports
        self._drop_reasons = drop_reasons()

    @classmethod
    def attach(cls, instance: str) -> Self:
        """Map the segment of a running instance read-only.

        Raises NotRunning, NotPermitted, or SegmentError if it can't be read.
        """
        owners = rundir.owners()
        name = shm_names.find_stats(instance, owners)
        if name is None:
            raise NotRunning(instance, running_instances())
        try:
            return cls(Segment.attach(name, lib.TTF_MAGIC_STATS, owners))
        except SegmentMissing:  # gone since
            raise NotRunning(instance, running_instances()) from None

    @property
    def epoch(self) -> int:
        """One value per start of an instance."""
        return self._header.epoch

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._segment.close()

    def port_names(self) -> list[tuple[int, int, str]]:
        """Port id, generation and name of each port."""
        blocks = [(port_id, lib.ttf_stats_port(self._base, port_id)) for port_id in range(self._ports)]
        return [
            (port_id, block.generation, string(block.name))
            for port_id, block in blocks
            if block.state != lib.TTF_PORT_FREE and not block.generation & 1
        ]

    def snapshot(self) -> Snapshot:
        """Everything at one moment, as far as is possible while the workers run.

        A counter is never torn. If a port was connected or deleted during the reading, or its device changed,
        everything is read again: so a deleted port's counters are found once, and a name belongs to the
        counters beside it.
        """
        for _ in range(_READ_ATTEMPTS):
            before = self._versions()
            snapshot = self._read()
            if before == self._versions() and not any(version & 1 for version in before):
                break
            time.sleep(_READ_PAUSE_S)
        return snapshot

    def _versions(self) -> tuple[int, ...]:
        """Numbers that change with what is known of a port, and are odd during the change."""
        blocks = [lib.ttf_stats_port(self._base, port_id) for port_id in range(self._ports)]
        return tuple(number for block in blocks for number in (block.generation, block.revision))

    def _read(self) -> Snapshot:
        now_ns = time.monotonic_ns()
        return Snapshot(
            taken_ns=now_ns,
            instance=self._instance(now_ns),
            rings=tuple(self._rings()),
            workers=tuple(self._worker(index, now_ns) for index in range(self._workers)),
            ports=tuple(
                self._port(port_id, now_ns)
                for port_id in range(self._ports)
                if lib.ttf_stats_port(self._base, port_id).state != lib.TTF_PORT_FREE
            ),
        )

    def _instance(self, now_ns: int) -> Instance:
        found = lib.ttf_stats_instance(self._base)
        return Instance(
            name=string(found.name),
            mode=string(found.mode),
            steering=string(found.steering),
            rx_mode=string(found.rx_mode),
            state=RUN_STATES.get(found.state, "unknown"),
            supervisor_pid=found.pid,
            supervisor_pid_exists=_exists(found.pid, found.pid_namespace),
            supervisor_heartbeat_age_ns=_age_ns(found.heartbeat_ns, now_ns),
            uptime_s=(_age_ns(found.started_ns, now_ns) or 0) / 1e9,
            boot_ms=found.boot_ns / 1e6 if found.boot_ns else None,
            batch=found.batch,
            ring_slots=found.ring_slots,
            damaged=found.damaged,
            epoch=self.epoch,
        )

    def _worker(self, index: int, now_ns: int) -> Worker:
        found = lib.ttf_stats_worker(self._base, index)
        status = lib.ttf_stats_status(self._base, index)
        state, pid, restarts = _incarnation(status)
        return Worker(
            index=index,
            state=ffi.string(lib.ttf_worker_state_name(state)).decode() or "unknown",
            pid=pid,
            cpu=status.cpu,
            restarts=restarts,
            lost_in_crash_packets=status.lost_in_crash,
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
            retired=self._counters(status.retired),
        )

    def _port(self, port_id: int, now_ns: int) -> Port:
        found = lib.ttf_stats_port(self._base, port_id)
        device = found.device
        states = {lib.TTF_PORT_UP: "up", lib.TTF_PORT_DELETING: "deleting"}
        links = {
            lib.TTF_LINK_UP: "up",
            lib.TTF_LINK_NO_CARRIER: "no_carrier",
            lib.TTF_LINK_DOWN: "down",
            lib.TTF_LINK_GONE: "gone",
        }
        peer = found.peer
        queues = [
            Queue(index, self._counters(lib.ttf_stats_queue(self._base, port_id, index)))
            for index in range(self._workers)
        ]
        return Port(
            port_id=port_id,
            generation=found.generation,
            state=states.get(found.state, "unknown"),
            name=string(found.name),
            device_name=string(found.device_name),
            link=links.get(found.link, "unknown"),
            driver=string(found.driver),
            io=string(found.io) or None,
            note=string(found.note),
            offloads=offloads.names(found.offloads),
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

    def _counters(self, found: ttf_counters) -> Counters:
        return Counters(
            **{name: getattr(found, name) for name in SUMMED},
            drops=dict(zip(self._drop_reasons, list(found.drops), strict=False)),
            rx_bursts=tuple(found.rx_bursts),
        )

    def _rings(self) -> list[Ring]:
        used = []
        for producer in range(self._workers):
            for consumer in range(self._workers):
                to_consumer = lib.ttf_stats_ring_out(self._base, producer, consumer)
                from_producer = lib.ttf_stats_ring_in(self._base, producer, consumer)
                # Popped first: a ring that moves meanwhile never looks as if it held less than nothing.
                popped, bad = from_producer.popped, from_producer.bad
                pushed, dropped = to_consumer.pushed, to_consumer.dropped
                if pushed or dropped or popped:
                    used.append(Ring(producer, consumer, pushed, popped, dropped, bad))
        return used


def _incarnation(status: ttf_worker_status) -> tuple[int, int, int]:
    """A worker's state, pid and restarts, of one moment: the same in two looks, unless they never settle."""
    found = status.state, status.pid, status.restarts
    for _ in range(_READ_ATTEMPTS):
        before, found = found, (status.state, status.pid, status.restarts)
        if found == before:
            break
    return found


def _exists(pid: int, pid_namespace: int) -> bool:
    """Whether there is such a process. In another PID namespace it can't be looked up: yes."""
    if pid_namespace not in (0, rundir.pid_namespace()):
        return True
    return pid > 0 and psutil.pid_exists(pid)


def _age_ns(stamp_ns: int, now_ns: int) -> int | None:
    """Nanoseconds since a stamp, never negative: coarse clocks lag. None if there was no stamp."""
    return max(0, now_ns - stamp_ns) if stamp_ns else None

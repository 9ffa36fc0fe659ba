# SPDX-License-Identifier: Apache-2.0
"""Statistics for programs: the object that `ttfwd stats --json` prints.

Every key with a dimension ends in its unit. Keys are only ever added within a schema version; docs/stats.md
describes each. A rate that doesn't exist (no interval, a port id used again, nothing to divide by) is
null.
"""

from __future__ import annotations

from collections.abc import Sequence

from forwarder.stats.accounting import accounting
from forwarder.stats.counters import Counters
from forwarder.stats.rates import CounterRates, Rates, WorkerRates
from forwarder.stats.snapshot import Port, Ring, Snapshot, Worker, select_ports, select_workers

SCHEMA_VERSION = 1

JsonObject = dict[str, object]


def stats_json(
    snapshot: Snapshot,
    rates: Rates | None = None,
    interval_s: float | None = None,
    ports: Sequence[str] = (),
    workers: Sequence[int] = (),
) -> JsonObject:
    """One snapshot and its rates as plain JSON types. `interval_s` is the requested one.

    `ports` and `workers` restrict those lists (a worker's queues and rings with it); totals and accounting
    are always the whole instance's. Raises UnknownName.
    """
    shown_ports = select_ports(snapshot, ports)
    shown_workers = select_workers(snapshot, workers)
    indices = frozenset(worker.index for worker in shown_workers)
    it = snapshot.instance
    return {
        "schema_version": SCHEMA_VERSION,
        "taken_monotonic_ns": snapshot.taken_ns,
        "interval_s": interval_s,
        "measured_interval_s": rates.interval_s if rates else None,
        "instance": {
            "name": it.name,
            "epoch": f"{it.epoch:016x}",
            "state": it.state,
            "mode": it.mode,
            "steering": it.steering,
            "rx_mode": it.rx_mode,
            "queues": len(snapshot.workers),
            "batch_packets": it.batch,
            "ring_slots": it.ring_slots,
            "damaged": it.damaged,
            "uptime_s": it.uptime_s,
            "boot_ms": it.boot_ms,
            "supervisor_pid": it.supervisor_pid,
            "supervisor_alive": it.supervisor_alive,
            "supervisor_pid_exists": it.supervisor_pid_exists,
            "supervisor_heartbeat_age_ns": it.supervisor_heartbeat_age_ns,
        },
        "total": _counters(snapshot.counters, rates.total if rates else None),
        "ports": [_port(port, rates, indices) for port in shown_ports],
        "workers": [
            _worker(worker, snapshot, rates.workers.get(worker.index) if rates else None)
            for worker in shown_workers
        ],
        "rings": [
            _ring(ring, rates)
            for ring in snapshot.rings
            if ring.producer in indices or ring.consumer in indices
        ],
        "accounting": _accounting(snapshot),
    }


def _counters(counters: Counters, rate: CounterRates | None) -> JsonObject:
    recent = rate.counted if rate else counters
    return {
        "rx_packets": counters.rx_packets,
        "rx_bytes": counters.rx_bytes,
        "rx_calls": counters.rx_calls,
        "rx_empty_calls": counters.rx_empty_calls,
        "tx_packets": counters.tx_packets,
        "tx_bytes": counters.tx_bytes,
        "tx_calls": counters.tx_calls,
        "generated_packets": counters.generated_packets,
        "copied_packets": counters.copied_packets,
        "dropped_packets": counters.dropped_packets,
        "drops_packets": dict(counters.drops),
        "kernel_dropped_packets": counters.kernel_drops,
        "rx_bursts": {str(1 << bucket): bursts for bucket, bursts in enumerate(counters.rx_bursts)},
        "rx_packets_per_s": rate and rate.rx_packets_per_s,
        "rx_bits_per_s": rate and rate.rx_bits_per_s,
        "rx_packets_per_call": recent.rx_packets_per_call,
        "tx_packets_per_s": rate and rate.tx_packets_per_s,
        "tx_bits_per_s": rate and rate.tx_bits_per_s,
        "tx_packets_per_call": recent.tx_packets_per_call,
        "dropped_packets_per_s": rate and rate.dropped_packets_per_s,
    }


def _port(port: Port, rates: Rates | None, workers: frozenset[int]) -> JsonObject:
    device = port.device
    return {
        "name": port.name,
        "slot": port.port_id,
        "state": port.state,
        "driver": port.driver,
        "io": port.io,
        "driver_note": port.note,
        "offloads": list(port.offloads),
        "netns": port.netns or None,
        "device_name": port.device_name,
        "link": port.link,
        "ifindex": port.ifindex,
        "mac": port.mac,
        "mtu_bytes": port.mtu,
        "peer": port.peer,
        **_counters(port.counters, rates.ports.get(port.port_id) if rates else None),
        "kernel_dropped_before_packets": port.dropped_before_packets,
        "kernel_dropped_after_packets": port.dropped_after_packets,
        "device": device
        and {
            "age_ns": device.age_ns,
            "rx_packets": device.rx_packets,
            "rx_bytes": device.rx_bytes,
            "rx_dropped_packets": device.rx_dropped,
            "rx_errors_packets": device.rx_errors,
            "tx_packets": device.tx_packets,
            "tx_bytes": device.tx_bytes,
            "tx_dropped_packets": device.tx_dropped,
            "tx_errors_packets": device.tx_errors,
        },
        "queues": [
            {
                "queue": queue.index,
                **_counters(queue.counters, rates.queues.get((port.port_id, queue.index)) if rates else None),
            }
            for queue in port.queues
            if queue.index in workers
        ],
    }


def _worker(worker: Worker, snapshot: Snapshot, rate: WorkerRates | None) -> JsonObject:
    packets = snapshot.worker_packets(worker.index)
    return {
        "worker": worker.index,
        "state": worker.state,
        "pid": worker.pid or None,
        "cpu": worker.cpu,
        "restarts": worker.restarts,
        "lost_in_crash_packets": worker.lost_in_crash_packets,
        "heartbeat_age_ns": worker.heartbeat_age_ns,
        "packets": packets,
        "cpu_ns": worker.cpu_ns,
        "busy_ns": worker.busy_ns,
        "running_ns": worker.running_ns,
        "rounds": worker.rounds,
        "sleeps": worker.sleeps,
        "doorbells": worker.doorbells,
        "pool_frames": worker.pool_frames,
        "pool_free_frames": worker.pool_free_frames,
        "pool_empty_rounds": worker.pool_empty_rounds,
        "packets_per_s": rate and rate.packets_per_s,
        "cpu_ns_per_packet": rate and rate.cpu_ns_per_packet,
        "cpu_percent": rate and rate.cpu_percent,
        "busy_percent": rate and rate.busy_percent,
        "sleeps_per_s": rate and rate.sleeps_per_s,
        "doorbells_per_s": rate and rate.doorbells_per_s,
        "orphans": _counters(worker.orphans, None),
        "retired": _counters(worker.retired, None),
    }


def _ring(ring: Ring, rates: Rates | None) -> JsonObject:
    return {
        "from": ring.producer,
        "to": ring.consumer,
        "pushed_packets": ring.pushed_packets,
        "popped_packets": ring.popped_packets,
        "depth_packets": ring.depth_packets,
        "dropped_packets": ring.dropped_packets,
        "bad_packets": ring.bad_packets,
        "pushed_packets_per_s": rates.rings.get((ring.producer, ring.consumer)) if rates else None,
    }


def _accounting(snapshot: Snapshot) -> JsonObject:
    it = accounting(snapshot)
    return {
        "received_packets": it.received_packets,
        "generated_packets": it.generated_packets,
        "copied_packets": it.copied_packets,
        "sent_packets": it.sent_packets,
        "dropped_packets": sum(it.dropped_packets.values()),
        "drops_packets": dict(it.dropped_packets),
        "waiting_packets": it.waiting_packets,
        "lost_in_crash_packets": it.lost_in_crash_packets,
        "difference_packets": it.difference_packets,
        "exact": it.exact,
        "closes": it.closes,
        "settling": snapshot.settling,
    }

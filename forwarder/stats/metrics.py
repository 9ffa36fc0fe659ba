# SPDX-License-Identifier: Apache-2.0
"""The instances of the host as metrics, by Prometheus' conventions: base units, `_total`, `_info`.

The label `ttfwd` names the instance, as Prometheus itself gives every series a label `instance`. A counter
begins at 0 again only with another `epoch` in the `_info` metric that has its labels: of an instance at its
start, of a port when it is connected. docs/operations.md lists all metrics.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version

from prometheus_client import Metric

from forwarder.errors import TtfwdError
from forwarder.native import ffi, lib
from forwarder.stats.accounting import accounting
from forwarder.stats.counters import Counters
from forwarder.stats.families import Families, Labels, Table
from forwarder.stats.overview import STATES, UNREADABLE, state_of
from forwarder.stats.reader import StatsReader, running_instances
from forwarder.stats.snapshot import Port, Ring, Snapshot, Worker

WORKER_STATES = tuple(
    ffi.string(lib.ttf_worker_state_name(state)).decode() for state in range(lib.TTF_WORKER_STATE_COUNT)
)

_INSTANCE_COUNTERS: Table[Snapshot] = {
    "received_packets": (
        "Packets received by all ports, deleted ones too.",
        lambda it: it.counters.rx_packets,
    ),
    "sent_packets": ("Packets sent by all ports, deleted ones too.", lambda it: it.counters.tx_packets),
    "damaged_counters": ("Counters that were found damaged, and restored.", lambda it: it.instance.damaged),
}
_INSTANCE_GAUGES: Table[Snapshot] = {
    "uptime_seconds": ("Time since the start of the instance.", lambda it: it.instance.uptime_s),
    "supervisor_heartbeat_age_seconds": (
        "Time since the supervisor last beat.",
        lambda it: _seconds(it.instance.supervisor_heartbeat_age_ns),
    ),
    "accounting_difference_packets": (
        "What the accounting equation lacks; not 0 for a moment while packets move.",
        lambda it: accounting(it).difference_packets,
    ),
}
_PORT_COUNTERS: Table[Port] = {
    "port_kernel_dropped_before_packets": (
        "Packets that the kernel dropped before ttfwd received them.",
        lambda port: port.dropped_before_packets,
    ),
    "port_kernel_dropped_after_packets": (
        "Packets that the kernel took from ttfwd and dropped.",
        lambda port: port.dropped_after_packets,
    ),
}
_PORT_GAUGES: Table[Port] = {
    "port_link_up": ("1 if the device has a carrier.", lambda port: port.link == "up"),
    "port_mtu_bytes": ("MTU of the device.", lambda port: port.mtu),
}
_QUEUE_COUNTERS: Table[Counters] = {
    "port_received_packets": ("Packets received from the device.", lambda it: it.rx_packets),
    "port_received_bytes": ("Bytes received from the device.", lambda it: it.rx_bytes),
    "port_receive_calls": ("System calls that received packets.", lambda it: it.rx_calls),
    "port_empty_receive_calls": ("System calls that received nothing.", lambda it: it.rx_empty_calls),
    "port_sent_packets": ("Packets that the device took.", lambda it: it.tx_packets),
    "port_sent_bytes": ("Bytes that the device took.", lambda it: it.tx_bytes),
    "port_send_calls": ("System calls that sent packets.", lambda it: it.tx_calls),
    "port_generated_packets": ("Packets made by mode txonly.", lambda it: it.generated_packets),
    "port_copied_packets": ("Copies made of flooded packets.", lambda it: it.copied_packets),
}
_WORKER_COUNTERS: Table[Worker] = {
    "worker_restarts": ("Times that the worker was started again.", lambda it: it.restarts),
    "worker_lost_in_crash_packets": (
        "Packets that were lost when it died.",
        lambda it: it.lost_in_crash_packets,
    ),
    "worker_cpu_seconds": ("CPU time.", lambda it: _seconds(it.cpu_ns)),
    "worker_busy_seconds": ("Time in rounds that moved packets.", lambda it: _seconds(it.busy_ns)),
    "worker_running_seconds": ("Time in its loop, asleep or not.", lambda it: _seconds(it.running_ns)),
    "worker_rounds": ("Rounds over all its queues.", lambda it: it.rounds),
    "worker_sleeps": ("Times that it slept for want of packets.", lambda it: it.sleeps),
    "worker_doorbells": ("Times that another worker woke it.", lambda it: it.doorbells),
    "worker_pool_empty_rounds": ("Rounds in which its pool was empty.", lambda it: it.pool_empty_rounds),
}
_WORKER_GAUGES: Table[Worker] = {
    "worker_cpu": ("Number of the CPU that it is pinned to.", lambda it: it.cpu),
    "worker_heartbeat_age_seconds": (
        "Time since the worker last beat.",
        lambda it: _seconds(it.heartbeat_age_ns),
    ),
    "worker_pool_frames": ("Frames of its pool.", lambda it: it.pool_frames),
    "worker_pool_free_frames": ("Frames of its pool that are free.", lambda it: it.pool_free_frames),
}
_RING_COUNTERS: Table[Ring] = {
    "ring_pushed_packets": ("Packets handed over.", lambda it: it.pushed_packets),
    "ring_popped_packets": ("Packets taken over.", lambda it: it.popped_packets),
    "ring_dropped_packets": (
        "Packets dropped because the handoff ring was full.",
        lambda it: it.dropped_packets,
    ),
}


class Collector:
    """For a registry of prometheus_client: it looks at the instances whenever it is asked."""

    def collect(self) -> Iterator[Metric]:
        families = Families()
        facts = {"version": version("ttfwd"), "abi": str(int(lib.TTF_ABI_VERSION))}
        families.gauge("build_info", "The ttfwd that reads the instances.", facts, 1)
        for name in running_instances():
            try:
                with StatsReader.attach(name) as reader:
                    _add(families, reader.snapshot())
            except TtfwdError:  # of another version, or gone since
                _add_state(families, name, UNREADABLE)
        return iter(families)


def _add(families: Families, snapshot: Snapshot) -> None:
    it = snapshot.instance
    own = {"ttfwd": it.name}
    epoch = f"{it.epoch:016x}"
    about = {"mode": it.mode, "steering": it.steering, "rx_mode": it.rx_mode, "epoch": epoch}
    _add_state(families, it.name, state_of(snapshot))
    families.gauge("instance_info", "How the instance is configured.", {**own, **about}, 1)
    families.gauges(_INSTANCE_GAUGES, own, snapshot)
    families.counters(_INSTANCE_COUNTERS, own, snapshot)
    text = "Packets dropped by all ports, deleted ones too; docs/stats.md explains the reasons."
    _add_drops(families, "dropped_packets", text, own, snapshot.counters)
    for port in snapshot.ports:
        _add_port(families, {**own, "port": port.name}, port, epoch)
    for worker in snapshot.workers:
        labels = {**own, "worker": str(worker.index)}
        text = "1 for the state of the worker."
        families.state("worker_state", text, labels, WORKER_STATES, worker.state)
        families.gauges(_WORKER_GAUGES, labels, worker)
        families.counters(_WORKER_COUNTERS, labels, worker)
    for ring in snapshot.rings:
        ends = {"from": str(ring.producer), "to": str(ring.consumer)}
        families.counters(_RING_COUNTERS, {**own, **ends}, ring)


def _add_state(families: Families, name: str, state: str) -> None:
    families.state("instance_state", "1 for the state of the instance.", {"ttfwd": name}, STATES, state)


def _add_port(families: Families, own: Labels, port: Port, epoch: str) -> None:
    about = {
        "driver": port.driver_and_io,
        "netns": port.netns,
        "device": port.device_name,
        "mac": port.mac,
        "peer": port.peer or "",
        # A port that is connected again may get another id, or the same one with another generation.
        "epoch": f"{epoch}.{port.port_id}.{port.generation}",
    }
    families.gauge("port_info", "What the port is.", {**own, **about}, 1)
    families.gauges(_PORT_GAUGES, own, port)
    families.counters(_PORT_COUNTERS, own, port)
    for queue in port.queues:
        labels, counters = {**own, "queue": str(queue.index)}, queue.counters
        families.counters(_QUEUE_COUNTERS, labels, counters)
        bursts = {(2 << bucket) - 1: number for bucket, number in enumerate(counters.rx_bursts)}
        text = "Packets of a received burst."
        families.histogram("port_receive_burst_packets", text, labels, bursts, counters.rx_packets)
        text = "Packets dropped; docs/stats.md explains the reasons."
        _add_drops(families, "port_dropped_packets", text, labels, counters)


def _add_drops(families: Families, name: str, text: str, labels: Labels, counters: Counters) -> None:
    for reason, packets in counters.drops.items():
        families.counter(name, text, {**labels, "reason": reason}, packets)


def _seconds(nanoseconds: int | None) -> float | None:
    return None if nanoseconds is None else nanoseconds / 1e9

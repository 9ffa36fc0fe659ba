# SPDX-License-Identifier: Apache-2.0
"""The instances of the host as metrics, by Prometheus' conventions: base units, `_total`, `_info`.

The label `ttfwd` names the instance, as Prometheus itself gives every series a label `instance`. A counter
begins at 0 again only with another `epoch` in the `_info` metric that has its labels: of an instance at its
start, of a port when it is connected.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import version

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from forwarder.errors import TtfwdError
from forwarder.native import ffi, lib
from forwarder.stats.accounting import accounting
from forwarder.stats.counters import Counters
from forwarder.stats.overview import state_of
from forwarder.stats.reader import StatsReader, running_instances
from forwarder.stats.snapshot import Port, Ring, Snapshot, Worker

STATES = ("boot", "running", "draining", "stopped", "hung", "dead", "unreadable")
WORKER_STATES = tuple(
    ffi.string(lib.ttf_worker_state_name(state)).decode() for state in range(lib.TTF_WORKER_STATE_COUNT)
)

# name: help, and where the value is
_QUEUE_COUNTERS: Mapping[str, tuple[str, str]] = {
    "received_packets": ("Packets received from the device.", "rx_packets"),
    "received_bytes": ("Bytes received from the device.", "rx_bytes"),
    "receive_calls": ("System calls that received packets.", "rx_calls"),
    "empty_receive_calls": ("System calls that received nothing.", "rx_empty_calls"),
    "sent_packets": ("Packets that the device took.", "tx_packets"),
    "sent_bytes": ("Bytes that the device took.", "tx_bytes"),
    "send_calls": ("System calls that sent packets.", "tx_calls"),
    "generated_packets": ("Packets made by mode txonly.", "generated_packets"),
    "copied_packets": ("Copies made of flooded packets.", "copied_packets"),
}


class Families:
    """The families of metrics, which grow with each instance that is added."""

    def __init__(self) -> None:
        self._families: dict[str, Metric] = {}

    def counter(self, name: str, text: str, labels: Mapping[str, str], value: float) -> None:
        family = self._families.setdefault(
            name, CounterMetricFamily(f"ttfwd_{name}", text, labels=list(labels))
        )
        assert isinstance(family, CounterMetricFamily)
        family.add_metric(list(labels.values()), value)

    def gauge(self, name: str, text: str, labels: Mapping[str, str], value: float | None) -> None:
        """None: there is no value now, hence no series."""
        family = self._families.setdefault(
            name, GaugeMetricFamily(f"ttfwd_{name}", text, labels=list(labels))
        )
        assert isinstance(family, GaugeMetricFamily)
        if value is not None:
            family.add_metric(list(labels.values()), value)

    def state(
        self, name: str, text: str, labels: Mapping[str, str], all_of_them: Iterable[str], it: str
    ) -> None:
        """1 for the present state, 0 for every other one."""
        for state in dict.fromkeys((*all_of_them, it)):
            self.gauge(name, text, {**labels, "state": state}, state == it)

    def bursts(self, name: str, text: str, labels: Mapping[str, str], counters: Counters) -> None:
        family = self._families.setdefault(
            name, HistogramMetricFamily(f"ttfwd_{name}", text, labels=list(labels))
        )
        assert isinstance(family, HistogramMetricFamily)
        seen, buckets = 0, []
        for bucket, bursts in enumerate(counters.rx_bursts):
            seen += bursts
            buckets.append((str(float((2 << bucket) - 1)), float(seen)))
        family.add_metric(list(labels.values()), [*buckets, ("+Inf", seen)], counters.rx_packets)

    def __iter__(self) -> Iterator[Metric]:
        return iter(self._families.values())


class Collector:
    """For a registry of prometheus_client: it looks at the instances whenever it is asked."""

    def collect(self) -> Iterator[Metric]:
        families = Families()
        facts = {"version": version("ttfwd"), "abi": str(int(lib.TTF_ABI_VERSION))}
        families.gauge("build_info", "The ttfwd that reads the instances.", facts, 1)
        for name in running_instances():
            try:
                with StatsReader.attach(name) as reader:
                    add(families, reader.snapshot())
            except TtfwdError:  # of another version, or gone since
                _add_state(families, name, "unreadable")
        return iter(families)


def add(families: Families, snapshot: Snapshot) -> None:
    """Add all that one instance counted."""
    it, name = snapshot.instance, snapshot.instance.name
    own = {"ttfwd": name}
    epoch = f"{it.epoch:016x}"
    modes = {"mode": it.mode, "steering": it.steering, "rx_mode": it.rx_mode}
    _add_state(families, name, state_of(snapshot))
    families.gauge("instance_info", "How the instance is configured.", {**own, **modes, "epoch": epoch}, 1)
    families.gauge("uptime_seconds", "Time since the start of the instance.", own, it.uptime_s)
    _age(
        families,
        "supervisor_heartbeat_age_seconds",
        "Since the supervisor last beat.",
        own,
        it.supervisor_heartbeat_age_ns,
    )
    families.counter("damaged_counters", "Counters that were found damaged, and restored.", own, it.damaged)
    _add_total(families, own, snapshot)
    for port in snapshot.ports:
        _add_port(families, {**own, "port": port.name}, port, epoch)
    for worker in snapshot.workers:
        _add_worker(families, {**own, "worker": str(worker.index)}, worker)
    for ring in snapshot.rings:
        _add_ring(families, {**own, "from": str(ring.producer), "to": str(ring.consumer)}, ring)


def _add_state(families: Families, name: str, state: str) -> None:
    families.state("instance_state", "1 for the state of the instance.", {"ttfwd": name}, STATES, state)


def _add_total(families: Families, own: Mapping[str, str], snapshot: Snapshot) -> None:
    """Of the whole instance: with what deleted ports counted."""
    books, counters = accounting(snapshot), snapshot.counters
    families.counter(
        "received_packets", "Packets received by all ports, deleted ones too.", own, counters.rx_packets
    )
    families.counter("sent_packets", "Packets sent by all ports, deleted ones too.", own, counters.tx_packets)
    for reason, packets in counters.drops.items():
        text = "Packets dropped by all ports, deleted ones too."
        families.counter("dropped_packets", text, {**own, "reason": reason}, packets)
    if books.difference_packets is not None:
        text = "What the accounting equation lacks; not 0 for a moment while packets move."
        families.gauge("accounting_difference_packets", text, own, books.difference_packets)


def _add_port(families: Families, own: Mapping[str, str], port: Port, epoch: str) -> None:
    about = {
        "driver": port.driver_and_io,
        "netns": port.netns,
        "device": port.device_name,
        "mac": port.mac,
        "peer": port.peer or "",
        "epoch": f"{epoch}.{port.port_id}.{port.generation}",
    }
    families.gauge("port_info", "What the port is.", {**own, **about}, 1)
    families.gauge("port_link_up", "1 if the device has a carrier.", own, port.link == "up")
    families.gauge("port_mtu_bytes", "MTU of the device.", own, port.mtu)
    for queue in port.queues:
        labels = {**own, "queue": str(queue.index)}
        for name, (text, key) in _QUEUE_COUNTERS.items():
            families.counter(f"port_{name}", text, labels, getattr(queue.counters, key))
        families.bursts("port_receive_burst_packets", "Packets of a received burst.", labels, queue.counters)
        for reason, packets in queue.counters.drops.items():
            text = "Packets dropped; docs/stats.md explains the reasons."
            families.counter("port_dropped_packets", text, {**labels, "reason": reason}, packets)
    if (before := port.dropped_before_packets) is not None:
        families.counter(
            "port_kernel_dropped_before_packets",
            "Packets that the kernel dropped before ttfwd received them.",
            own,
            before,
        )
    if (after := port.dropped_after_packets) is not None:
        families.counter(
            "port_kernel_dropped_after_packets",
            "Packets that the kernel took from ttfwd and dropped.",
            own,
            after,
        )


def _add_worker(families: Families, own: Mapping[str, str], worker: Worker) -> None:
    families.state("worker_state", "1 for the state of the worker.", own, WORKER_STATES, worker.state)
    families.gauge("worker_cpu", "Number of the CPU that it is pinned to.", own, worker.cpu)
    families.counter("worker_restarts", "Times that the worker was started again.", own, worker.restarts)
    families.counter(
        "worker_lost_in_crash_packets",
        "Packets that were lost when it died.",
        own,
        worker.lost_in_crash_packets,
    )
    _age(
        families, "worker_heartbeat_age_seconds", "Since the worker last beat.", own, worker.heartbeat_age_ns
    )
    for name, text, spent_ns in (
        ("cpu", "CPU time.", worker.cpu_ns),
        ("busy", "Time in rounds that moved packets.", worker.busy_ns),
        ("running", "Time in its loop, asleep or not.", worker.running_ns),
    ):
        families.counter(f"worker_{name}_seconds", text, own, spent_ns / 1e9)
    families.counter("worker_rounds", "Rounds over all queues.", own, worker.rounds)
    families.counter("worker_sleeps", "Times that it slept for want of packets.", own, worker.sleeps)
    families.counter("worker_doorbells", "Times that another worker woke it.", own, worker.doorbells)
    families.gauge("worker_pool_frames", "Frames of its pool.", own, worker.pool_frames)
    families.gauge(
        "worker_pool_free_frames", "Frames of its pool that are free.", own, worker.pool_free_frames
    )
    families.counter(
        "worker_pool_empty_rounds", "Rounds in which its pool was empty.", own, worker.pool_empty_rounds
    )


def _add_ring(families: Families, own: Mapping[str, str], ring: Ring) -> None:
    families.counter("ring_pushed_packets", "Packets handed over.", own, ring.pushed_packets)
    families.counter("ring_popped_packets", "Packets taken over.", own, ring.popped_packets)
    families.counter(
        "ring_dropped_packets",
        "Packets dropped because the handoff ring was full.",
        own,
        ring.dropped_packets,
    )


def _age(families: Families, name: str, text: str, own: Mapping[str, str], age_ns: int | None) -> None:
    families.gauge(name, text, own, None if age_ns is None else age_ns / 1e9)

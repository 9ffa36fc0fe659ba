# SPDX-License-Identifier: Apache-2.0
"""Statistics as tables for people: `ttfwd stats`, the live view and the final accounting.

Pure: a snapshot and its rates become rich renderables.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import RenderableType
from rich.text import Text

from forwarder.stats.accounting import accounting
from forwarder.stats.counters import Counters, drop_reasons
from forwarder.stats.figures import age, bursts, count, duration, figure, percent, scaled
from forwarder.stats.rates import CounterRates, Rates
from forwarder.stats.section import Column, Section, printable
from forwarder.stats.snapshot import Port, Snapshot, Worker, select_ports, select_workers


def stats_tables(
    snapshot: Snapshot,
    rates: Rates | None = None,
    ports: Sequence[str] = (),
    workers: Sequence[int] = (),
    *,
    live: bool = False,
) -> list[RenderableType]:
    """The tables of `ttfwd stats`; sections with nothing to say are left out.

    `ports` and `workers` (names and numbers) restrict the tables to these; the whole instance's sections
    go with them. A live display leaves out what doesn't change. Raises UnknownName.
    """
    shown_ports = select_ports(snapshot, ports)
    shown_workers = select_workers(snapshot, workers)
    indices = frozenset(worker.index for worker in shown_workers)
    whole = not ports and not workers
    sections: list[Section | None] = []
    if ports or not workers:
        sections += [None if live else _inventory(shown_ports)]
    sections += [
        _traffic(snapshot, rates, shown_ports, indices, whole),
        _drops(snapshot, shown_ports, indices, whole),
    ]
    if ports or not workers:
        sections += [_kernel(shown_ports)]
    if workers or not ports:
        sections += [_workers(snapshot, rates, shown_workers), _rings(snapshot, rates, indices)]
    tables: list[RenderableType] = [headline(snapshot)]
    tables += [section for section in sections if section and section.rows]
    if whole and not live:
        tables.append(accounting_table(snapshot))
    return tables


def headline(snapshot: Snapshot) -> Text:
    """What instance this is and whether anyone looks after it."""
    it = snapshot.instance
    colour = {"running": "green", "stopped": "red"}.get(it.state, "yellow")
    text = Text.assemble((printable(it.name), "bold"), "  ", (it.state, colour))
    text.append(f"  up {duration(it.uptime_s)}")
    text.append(f"\n{it.mode}  steering {it.steering}  {it.rx_mode}  workers {len(snapshot.workers)}")
    text.append(f"  batch {it.batch}  supervisor {it.supervisor_pid}")
    if it.boot_ms is not None:
        text.append(f"  boot {it.boot_ms:.0f} ms")
    if it.state != "stopped" and not it.supervisor_alive:
        silent = age(it.supervisor_heartbeat_age_ns)
        found = f"has not responded for {silent}" if it.supervisor_pid_exists else "is dead"
        text.append(f"\nThe supervisor {found}: nobody restarts workers.", style="bold red")
    return text


def _inventory(ports: Sequence[Port]) -> Section:
    columns = (
        Column("port", left=True),
        Column("driver", left=True),
        Column("queues"),
        Column("namespace", left=True),
        Column("MTU"),
        Column("offload", left=True, spare=2),
        Column("MAC", left=True, spare=3),
        Column("ifindex", spare=4),
        Column("peer", left=True),
        Column("state", left=True),
        Column("why this driver", left=True, spare=1),
    )
    rows = tuple(
        (
            port.name if port.device_name in (port.name, "") else f"{port.name} (now {port.device_name})",
            port.driver_and_io,
            str(len(port.queues)),
            port.netns or "-",
            str(port.mtu),
            " ".join(port.offloads) or "none",
            port.mac,
            str(port.ifindex),
            port.peer or "-",
            _port_state(port),
            port.note or "-",
        )
        for port in ports
    )
    return Section("Ports", columns, rows)


def _port_state(port: Port) -> Text:
    """What ttfwd does with the port; while it forwards, what the kernel does with its device."""
    if port.state != "up":
        return Text(port.state, style="yellow")
    colours = {"up": "green", "gone": "bold red"}
    return Text(port.link.replace("_", " "), style=colours.get(port.link, "yellow"))


def _traffic(
    snapshot: Snapshot, rates: Rates | None, ports: Sequence[Port], workers: frozenset[int], whole: bool
) -> Section:
    """Two rows for each port, queue and the total: received and sent."""
    columns = (
        Column("port", left=True),
        Column("queue"),
        Column("", left=True),
        Column("packets"),
        Column("bytes", spare=3),
        *((Column("packets/s"), Column("bits/s", spare=1)) if rates else ()),
        Column("per call"),
        Column("bursts", left=True, spare=2),
        Column("dropped"),
    )
    rows: list[tuple[str | Text, ...]] = []

    def add(name: str, queue: str, counters: Counters, rate: CounterRates | None) -> None:
        rx_rates: tuple[str, ...] = ()
        tx_rates: tuple[str, ...] = ()
        recent = counters
        if rates:
            recent = rate.counted if rate else Counters()
            rx_rates = tx_rates = ("-", "-")
        if rate:
            rx_rates = (scaled(rate.rx_packets_per_s, "pps"), scaled(rate.rx_bits_per_s, "bit/s"))
            tx_rates = (scaled(rate.tx_packets_per_s, "pps"), scaled(rate.tx_bits_per_s, "bit/s"))
        burst_sizes = bursts(recent.rx_bursts, snapshot.instance.batch)
        per_call = figure(recent.rx_packets_per_call), figure(recent.tx_packets_per_call)
        rx = count(counters.rx_packets), scaled(counters.rx_bytes, "B"), *rx_rates, per_call[0]
        tx = count(counters.tx_packets), scaled(counters.tx_bytes, "B"), *tx_rates, per_call[1]
        rows.append((Text(printable(name), style="bold"), queue, "rx", *rx, burst_sizes, ""))
        rows.append(("", "", "tx", *tx, "", _alarming(counters.dropped_packets)))

    for port in ports:
        queues = [queue for queue in port.queues if queue.index in workers]
        name = port.name
        if len(workers) == len(snapshot.workers) and len(queues) != 1:
            add(name, "all", port.counters, rates.ports.get(port.port_id) if rates else None)
            name = ""
        for queue in queues:
            rate = rates.queues.get((port.port_id, queue.index)) if rates else None
            add(name, str(queue.index), queue.counters, rate)
            name = ""
    deleted = any(worker.retired.rx_packets or worker.retired.tx_packets for worker in snapshot.workers)
    if whole and (len(ports) > 1 or deleted):
        add("total", "", snapshot.counters, rates.total if rates else None)
    return Section("Traffic" + _last(rates), columns, tuple(rows))


def _drops(snapshot: Snapshot, ports: Sequence[Port], workers: frozenset[int], whole: bool) -> Section:
    columns = (
        Column("port", left=True),
        Column("reason", left=True),
        Column("packets"),
        Column("by queue", left=True, spare=1),
        Column("meaning", left=True, spare=2),
    )
    sources: list[tuple[str, list[tuple[int, Counters]]]] = [
        (port.name, [(queue.index, queue.counters) for queue in port.queues]) for port in ports
    ]
    if whole:
        sources.append(("(no port)", [(worker.index, worker.orphans) for worker in snapshot.workers]))
        sources.append(("(deleted)", [(worker.index, worker.retired) for worker in snapshot.workers]))
    meanings = drop_reasons()
    rows: list[tuple[str | Text, ...]] = []
    for name, found in sources:
        blocks = [(index, counters.drops) for index, counters in found if index in workers]
        for reason in dict.fromkeys(reason for _, drops in blocks for reason in drops):
            parts = [(index, drops[reason]) for index, drops in blocks if drops.get(reason)]
            if parts:
                by_queue = ", ".join(f"{index}: {count(packets)}" for index, packets in parts)
                packets = sum(packets for _, packets in parts)
                rows.append((name, reason, count(packets), by_queue, meanings.get(reason, "")))
    return Section("Drops", columns, tuple(rows))


def _kernel(ports: Sequence[Port]) -> Section:
    columns = (
        Column("port", left=True),
        Column("rx_packets", spare=4),
        Column("tx_packets", spare=3),
        Column("dropped before us"),
        Column("dropped after us"),
        Column("errors", spare=1),
        Column("read", spare=2),
    )
    rows = tuple(
        (
            port.name,
            count(port.device.rx_packets),
            count(port.device.tx_packets),
            count(port.dropped_before_packets),
            count(port.dropped_after_packets),
            count(port.device.rx_errors + port.device.tx_errors),
            f"{age(port.device.age_ns)} ago",
        )
        for port in ports
        if port.device
    )
    return Section("Devices, as the kernel counts them", columns, rows)


def _workers(snapshot: Snapshot, rates: Rates | None, workers: Sequence[Worker]) -> Section:
    columns = (
        Column("worker"),
        Column("CPU"),
        Column("state", left=True),
        Column("pid", spare=2),
        Column("busy"),
        *((Column("CPU time", spare=1), Column("packets/s")) if rates else (Column("packets"),)),
        Column("CPU ns/packet"),
        *((Column("sleeps/s", spare=4), Column("bells/s", spare=6)) if rates else ()),
        Column("free frames", spare=5),
        Column("restarts"),
        Column("lost"),
        Column("heartbeat"),
    )
    colours = {"ready": "green", "failed": "bold red", "backoff": "red"}
    rows: list[tuple[str | Text, ...]] = []
    for worker in workers:
        packets = snapshot.worker_packets(worker.index)
        rate = rates.workers.get(worker.index) if rates else None
        work: tuple[str, ...]
        if rate:
            work = (
                percent(rate.busy_percent),
                percent(rate.cpu_percent),
                scaled(rate.packets_per_s, "pps"),
                figure(rate.cpu_ns_per_packet, 0),
                figure(rate.sleeps_per_s, 0),
                figure(rate.doorbells_per_s, 0),
            )
        elif rates:
            work = ("-",) * 6
        else:
            busy = 100 * worker.busy_ns / worker.running_ns if worker.running_ns else None
            work = percent(busy), count(packets), figure(worker.cpu_ns / packets if packets else None, 0)
        rows.append(
            (
                str(worker.index),
                str(worker.cpu),
                Text(worker.state, style=colours.get(worker.state, "yellow")),
                str(worker.pid) if worker.pid else "-",
                *work,
                f"{count(worker.pool_free_frames)} of {count(worker.pool_frames)}",
                _alarming(worker.restarts),
                _alarming(worker.lost_in_crash_packets),
                age(worker.heartbeat_age_ns),
            )
        )
    return Section("Workers" + _last(rates), columns, tuple(rows))


def _last(rates: Rates | None) -> str:
    return f" (rates: the last {rates.interval_s:.1f} s)" if rates else ""


def _alarming(value: int) -> Text:
    return Text(count(value), style="red" if value else "")


def _rings(snapshot: Snapshot, rates: Rates | None, workers: frozenset[int]) -> Section:
    columns = (
        Column("from"),
        Column("to"),
        Column("pushed"),
        *((Column("packets/s"),) if rates else ()),
        Column("popped", spare=1),
        Column("waiting"),
        Column("dropped"),
        Column("bad", spare=2),
    )
    rows = tuple(
        (
            str(ring.producer),
            str(ring.consumer),
            count(ring.pushed_packets),
            *((scaled(rates.rings.get((ring.producer, ring.consumer)), "pps"),) if rates else ()),
            count(ring.popped_packets),
            count(ring.depth_packets),
            _alarming(ring.dropped_packets),
            count(ring.bad_packets),
        )
        for ring in snapshot.rings
        if ring.producer in workers or ring.consumer in workers
    )
    return Section("Rings between workers", columns, rows)


def accounting_table(snapshot: Snapshot) -> RenderableType:
    """Where every packet went, and whether the sums agree: the last thing that an instance says."""
    it = accounting(snapshot)
    rows: list[tuple[str | Text, ...]] = [("received", count(it.received_packets))]
    rows += _unless_zero([("+ generated", it.generated_packets), ("+ copied", it.copied_packets)])
    rows.append(("= sent", count(it.sent_packets)))
    rows += _unless_zero([(f"+ dropped: {name}", packets) for name, packets in it.dropped_packets.items()])
    rows += _unless_zero(
        [("+ waiting in rings", it.waiting_packets), ("+ lost in a crash", it.lost_in_crash_packets)]
    )
    if it.closes:
        rows.append((Text("every packet is accounted for", style="green"), ""))
    elif snapshot.settling:
        rows.append(("+ in flight", count(it.difference_packets)))
    else:
        rows.append((Text("+ unaccounted for", style="red"), _alarming(it.difference_packets)))
    if not it.exact:
        rows.append((Text("not exact: counters were damaged", style="red"), ""))
    return Section("Accounting", (Column("", left=True), Column("packets")), tuple(rows))


def _unless_zero(lines: Iterable[tuple[str, int]]) -> list[tuple[str | Text, ...]]:
    return [(label, count(packets)) for label, packets in lines if packets]

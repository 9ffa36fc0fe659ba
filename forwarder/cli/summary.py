# SPDX-License-Identifier: Apache-2.0
"""The summary that `ttfwd start` shows once the instance runs: ports, drivers, CPUs, and commands to try.

From a supervisor's Running to lines (for a log) or a renderable (for a terminal).
"""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from forwarder import rundir, shm_names
from forwarder.cli import reach
from forwarder.config.cpus import format_cpu_list
from forwarder.config.model import PortConfig, peers_of
from forwarder.supervisor.main_loop import Running


def _where(config: PortConfig) -> str:
    return f"netns {config.netns}" if config.netns else "host"


def _cpu_map(running: Running) -> str:
    return "  ".join(f"{worker} -> {cpu}" for worker, cpu in enumerate(running.cpus))


def suggestions(running: Running) -> Iterator[str]:
    """Commands to try, made from the addresses that the ports have. They work in any terminal of the host."""
    config = running.config
    addressed = [port for port in config.ports if port.address]
    if len(addressed) >= 2 and config.mode in ("xconnect", "bridge"):
        first, second = addressed[0], addressed[1]
        ping = f"ping -c 3 {second.address[0].ip}"
        if first.netns:
            yield reach.file(f"/run/netns/{first.netns}") + f"ip netns exec {first.netns} {ping}"
        else:
            yield reach.devices() + ping
    name = "" if config.name == "ttfwd" else f" --name {config.name}"
    socket = reach.file(rundir.socket_path(config.name))
    if not config.ports:
        yield f"{socket}ttfwd connect turbotap0 --netns left --address 10.77.0.1/24{name}"
    yield reach.file(shm_names.SHM_DIRECTORY) + f"ttfwd stats --watch{name}"
    yield f"{socket}ttfwd stop{name}"


def lines(running: Running) -> Iterator[str]:
    """The summary as log lines."""
    config = running.config
    yield (
        f"instance {config.name}: {config.mode}, steering {config.steering}, {config.rx_mode}, "
        f"{config.queues} workers, boot {running.boot_ms:.0f} ms"
    )
    peers = peers_of(config.ports)
    for port in running.ports:
        peer = f", peer {peers[port.name]}" if port.name in peers else ""
        yield (
            f"port {port.name} ({_where(port.config)}): driver {port.driver} ({port.note}), "
            f"{port.queues} queues, MTU {port.device.mtu}, offload {port.device.offloads_shown}{peer}"
        )
    yield f"worker -> CPU: {_cpu_map(running)}"
    yield f"try: {'; '.join(suggestions(running))}"


def renderable(running: Running) -> RenderableType:
    """The summary for a terminal."""
    config = running.config
    peers = peers_of(config.ports)
    ports = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in (
        "port",
        "where",
        "address",
        "driver",
        "queues",
        "MTU",
        "offload",
        "peer",
        "why this driver",
    ):
        ports.add_column(title, header_style="bold", overflow="fold")
    for port in running.ports:
        ports.add_row(
            port.name,
            _where(port.config),
            " ".join(map(str, port.config.address)) or "-",
            str(port.driver),
            str(port.queues),
            str(port.device.mtu),
            port.device.offloads_shown,
            peers.get(port.name, "-"),
            port.note,
        )
    head = Text.assemble((config.name, "bold"), f"  {config.mode}  steering {config.steering}")
    head.append(f"  {config.rx_mode}  batch {config.batch}  boot {running.boot_ms:.0f} ms")
    cpus = Text(f"worker -> CPU   {_cpu_map(running)}   (CPUs {format_cpu_list(set(running.cpus))})")
    tries = Text("\n".join(f"  {line}" for line in suggestions(running)))
    body: list[RenderableType] = [head, ports] if running.ports else [head, Text("no ports yet")]
    return Group(*body, cpus, Text("Try, in another terminal:", style="bold"), tries, Text())

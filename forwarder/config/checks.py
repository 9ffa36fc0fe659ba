# SPDX-License-Identifier: Apache-2.0
"""The rules between the values of a configuration: peers, names, queues, CPUs.

Pure. No problem is reported that only follows from another one: a check is left out if its input is among
the wrong keys.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from forwarder import drivers
from forwarder.config.cpus import AUTO, format_cpu_list, not_allowed, parse_cpu_list
from forwarder.config.model import (
    ETHERNET_HEADER_BYTES,
    MAX_PORTS,
    Config,
    PortConfig,
    peers_of,
    shown,
)
from forwarder.errors import Problem

_IPV6_MIN_MTU = 1280


@dataclass(frozen=True)
class Placed:
    """A port and its place in the file: "port[1].", or "" for a port of `ttfwd connect`."""

    port: PortConfig
    prefix: str


@dataclass(frozen=True)
class Readable:
    """The part of a file that could be read. Keys in `wrong` have their default in `config`."""

    config: Config
    ports: tuple[Placed, ...]
    tables: frozenset[str]  # which of [bridge] and [txonly] the file has
    wrong: frozenset[str]  # key paths
    ports_missing: bool  # a port could not be read


def check_file(read: Readable, allowed_cpus: Collection[int]) -> Iterator[Problem]:
    """Every problem between the values of a file."""
    config = read.config
    yield from _check_cpus(config, allowed_cpus)
    if "mode" not in read.wrong:
        for table in sorted(read.tables - {config.mode} - read.wrong):
            yield Problem(table, f"only valid in mode {table}, and the mode is {config.mode}")
    for index, placed in enumerate(read.ports):
        yield from _check_port(placed, config, read.wrong)
        yield from _check_unique(placed, [other.port for other in read.ports[:index]], read.wrong)
    yield from _check_file_peers(read)


def check_connect(
    port: PortConfig, config: Config, existing: Sequence[PortConfig], wrong: frozenset[str]
) -> Iterator[Problem]:
    """Every problem that a new port has with a running instance. It may stay without a peer."""
    placed = Placed(port, "")
    if len(existing) >= MAX_PORTS:
        yield Problem("name", f"the instance has {len(existing)} ports already: at most {MAX_PORTS}")
    yield from _check_port(placed, config, wrong)
    yield from _check_unique(placed, existing, wrong)
    if any(other.name == port.name for other in existing):
        return
    # No key of a running port is wrong, so its prefix only has to differ from the new port's.
    running = [Placed(other, f"{other.name}.") for other in existing]
    yield from _check_peer(placed, running, (), config, wrong)
    if port.peer is not None and config.mode == "xconnect":
        for other in existing:
            if other.peer == port.name and other.name != port.peer:
                yield Problem(
                    "peer", f"{shown(other.name)} names this port as its peer: name that one, or none"
                )


def _check_cpus(config: Config, allowed_cpus: Collection[int]) -> Iterator[Problem]:
    if config.cpus != AUTO:
        refused = set(parse_cpu_list(config.cpus)) - set(allowed_cpus)
        if refused:
            yield Problem("cpus", not_allowed(refused, allowed_cpus))


def _check_port(placed: Placed, config: Config, wrong: Collection[str]) -> Iterator[Problem]:
    """The rules that concern one port and the instance."""
    port, prefix = placed.port, placed.prefix

    def known(*keys: str) -> bool:
        return not any(prefix + key in wrong for key in keys)

    if "queues" not in wrong and port.queues is not None and port.queues > config.queues:
        yield Problem(
            prefix + "queues",
            f"{port.queues} is too large: at most the instance's queues, {config.queues}",
        )
    if known("driver", "io") and port.io is not None:
        yield from _check_io(port, port.io, prefix)
    if known("driver") and not port.makes_device:
        for key, command in (("address", "ip address add"), ("mac", "ip link set"), ("mtu", "ip link set")):
            if getattr(port, key):
                yield Problem(
                    prefix + key,
                    f"with driver {port.driver} this is for the device's owner to set: "
                    f"{command} ... dev {port.name}",
                )
        return
    mtu = port.effective_mtu
    if mtu is None or not known("mtu", "driver"):
        return
    if mtu < _IPV6_MIN_MTU and any(address.version == 6 for address in port.address):
        yield Problem(prefix + "mtu", f"{mtu} is too small for an IPv6 address: at least {_IPV6_MIN_MTU}")
    if config.mode == "txonly" and not {"mode", "txonly.size"} & set(wrong):
        largest = mtu + ETHERNET_HEADER_BYTES
        if config.txonly.size > largest:
            yield Problem(
                prefix + "mtu",
                f"{mtu} is too small for frames of {config.txonly.size} bytes (txonly.size): "
                f"at least {config.txonly.size - ETHERNET_HEADER_BYTES}",
            )


def _check_io(port: PortConfig, io: drivers.Io, prefix: str) -> Iterator[Problem]:
    if all(driver.io_name != io for driver in drivers.choices(port.driver)):
        having = " or ".join(driver.name for driver in drivers.DRIVERS if driver.io_name == io)
        yield Problem(prefix + "io", f"only valid with driver {having}, and the driver is {port.driver}")


def _check_unique(placed: Placed, others: Sequence[PortConfig], wrong: Collection[str]) -> Iterator[Problem]:
    """Names and addresses that another port has too, or that this one has twice."""
    port, prefix = placed.port, placed.prefix
    if any(other.name == port.name for other in others):
        yield Problem(
            prefix + "name",
            f"another port is named {shown(port.name)}: names are unique in an instance",
        )
    owners: dict[IPv4Address | IPv6Address, str] = {}
    for other in others:
        for address in other.address:
            owners.setdefault(address.ip, f"port {shown(other.name)}")
    for index, address in enumerate(port.address):
        # If an element is missing, the indices are no longer those of the file.
        exact = not any(key.startswith(prefix + "address[") for key in wrong)
        path = f"{prefix}address[{index}]" if exact else prefix + "address"
        if address.ip in owners:
            yield Problem(path, f"{address.ip} is an address of {owners[address.ip]} already")
        owners.setdefault(address.ip, "this port")


def _check_file_peers(read: Readable) -> Iterator[Problem]:
    first_of_name: dict[str, Placed] = {}
    for placed in read.ports:
        first_of_name.setdefault(placed.port.name, placed)  # a second one is reported as a name that is taken
    ports = list(first_of_name.values())
    for index, placed in enumerate(ports):
        if read.ports_missing and read.config.mode == "xconnect" and placed.port.peer not in first_of_name:
            continue  # its peer may be the one that can't be read
        yield from _check_peer(placed, ports[:index], ports[index + 1 :], read.config, read.wrong)
    if read.config.mode != "xconnect" or "mode" in read.wrong or read.ports_missing:
        return
    if any(placed.prefix + "peer" in read.wrong for placed in ports):
        return  # a peer that can't be read may name one of the others
    named = {placed.port.peer for placed in ports}
    for placed in ports:
        if placed.port.peer is None and placed.port.name not in named:
            yield Problem(
                placed.prefix + "peer",
                "in mode xconnect every port needs a peer: name one here, or this port in another's peer",
            )


def _check_peer(
    placed: Placed, before: Sequence[Placed], after: Sequence[Placed], config: Config, wrong: Collection[str]
) -> Iterator[Problem]:
    """The peer that a port names, and its partner's queues.

    A problem of two ports is reported at the later one.
    """
    port, path = placed.port, placed.prefix + "peer"
    if "mode" in wrong or path in wrong:
        return
    if config.mode != "xconnect":
        if port.peer is not None:
            yield Problem(path, f"only valid in mode xconnect, and the mode is {config.mode}")
        return
    others = {other.port.name: other for other in (*before, *after)}
    if port.peer is not None:
        message = _wrong_peer(port.name, port.peer, [other.port for other in before], others)
        if message:
            yield Problem(path, message)
            return
    partner = others.get(peers_of([p.port for p in (*before, placed, *after)]).get(port.name, ""))
    if partner is None or partner not in before:
        return
    if {"queues", placed.prefix + "queues", partner.prefix + "queues"} & set(wrong):
        return
    mine, theirs = config.queues_of(port), config.queues_of(partner.port)
    if mine != theirs:
        yield Problem(
            placed.prefix + "queues",
            f"{mine} here and {theirs} in its peer {shown(partner.port.name)}: peers have the same number",
        )


def _wrong_peer(
    name: str, peer: str, before: Sequence[PortConfig], others: Mapping[str, Placed]
) -> str | None:
    """What is wrong with `peer` as the peer of the port `name`."""
    if peer == name:
        return "a port can't be its own peer: name another port"
    if peer not in others:
        names = ", ".join(map(shown, list(others)[:8])) + (", ..." if len(others) > 8 else "")
        there_are = f"the others are {names}" if others else "there is no other port"
        return f"no port is named {shown(peer)}: {there_are}"
    theirs = others[peer].port.peer
    if theirs is not None and theirs != name and theirs in others:
        return (
            f"{shown(peer)} names {shown(theirs)} as its peer: "
            "two ports name each other, or one of them names the other"
        )
    rival = next((other.name for other in before if other.peer == peer), None)
    return (
        None if rival is None else f"{shown(peer)} is the peer of {shown(rival)} already: name another port"
    )


def warnings(config: Config, allowed_cpus: Collection[int]) -> tuple[str, ...]:
    """Settings that are allowed and probably not meant, one line each."""
    return tuple(_warnings(config, allowed_cpus))


def _warnings(config: Config, allowed_cpus: Collection[int]) -> Iterator[str]:
    cpus = sorted(allowed_cpus) if config.cpus == AUTO else parse_cpu_list(config.cpus)
    if config.queues > len(cpus):
        polling = ", and polling workers take each other's time" if config.rx_mode == "polling" else ""
        yield (
            f"queues: {config.queues} workers share {len(cpus)} CPUs ({format_cpu_list(cpus)}), "
            f"handed out round robin{polling}"
        )
    elif config.cpus != AUTO and config.queues < len(cpus):
        yield f"cpus: only the first {config.queues} of {config.cpus} are used, one a queue"
    if config.steering == "flow":
        if config.mode in ("rxonly", "txonly"):
            yield f"steering: flow has no effect in mode {config.mode}, which forwards nothing"
        elif config.queues == 1:
            yield "steering: flow has no effect with one queue"
    if "spin_us" in config.model_fields_set and config.rx_mode != "adaptive":
        yield f"spin_us: no effect with rx_mode {config.rx_mode}, only with adaptive"
    if config.mode == "bridge" and len(config.ports) == 1:
        yield "port: a bridge with one port forwards nothing"
    yield from _port_warnings(config)


def _port_warnings(config: Config) -> Iterator[str]:
    widest = max((config.queues_of(port) for port in config.ports), default=config.queues)
    if widest < config.queues:
        yield f"queues: {config.queues} workers, and no port has more than {widest}: the rest stay idle"
    macs: dict[str, str] = {}
    for port in config.ports:
        if port.mac is not None and macs.setdefault(port.mac, port.name) != port.name:
            yield f"port: {macs[port.mac]} and {port.name} have the same mac {port.mac}"
    forwarding = config.mode in ("xconnect", "bridge")
    mtus = {port.effective_mtu for port in config.ports} - {None}
    if forwarding and len(mtus) > 1:
        sizes = ", ".join(f"{port.name} {port.effective_mtu}" for port in config.ports if port.effective_mtu)
        yield f"port: different MTUs ({sizes}): packets too long for their output are dropped as oversize"

# SPDX-License-Identifier: Apache-2.0
"""Between which ports of an instance is measured, and with which devices the tester reaches them.

The tester's device for a tap is the tap itself: what is sent on it, the instance receives. That for a port of
driver `packet` is the other end of its veth.
"""

from __future__ import annotations

from forwarder import drivers
from forwarder.config.model import Mode
from forwarder.devices.veth import peer_of
from forwarder.errors import DeviceError, UsageError
from forwarder.stats.snapshot import Port, Snapshot, select_ports
from forwarder.tester.trial import Endpoint

Pair = tuple[Port, Port]

_FORWARDING: tuple[Mode, ...] = ("xconnect", "bridge")


def require_forwarding(mode: str, ports: int, name: str) -> None:
    """Raises UsageError unless packets go from one port to another."""
    if mode not in _FORWARDING:
        raise UsageError(
            f'instance "{name}" is in mode {mode}, in which no packet goes from one port to another: '
            f"measured can be {' and '.join(_FORWARDING)}"
        )
    if ports < 2:
        raise UsageError(f'instance "{name}" has {ports or "no"} port: a measurement needs two')


def ports_between(snapshot: Snapshot, wanted: tuple[str, str] | None) -> Pair:
    """The ports that are named; else the first one and its peer, or in mode bridge the first two.

    Raises UsageError, also for ports between which nothing is forwarded.
    """
    instance, ports = snapshot.instance, snapshot.ports
    require_forwarding(instance.mode, len(ports), instance.name)
    if wanted is not None:
        if wanted[0] == wanted[1]:
            raise UsageError(f'port "{wanted[0]}" twice: a measurement needs two ports')
        found = {port.name: port for port in select_ports(snapshot, wanted)}
        first, second = found[wanted[0]], found[wanted[1]]
        if instance.mode == "xconnect" and first.peer != second.name:
            raise UsageError(f'the peer of port "{first.name}" is {first.peer or "none"}, not {second.name}')
        return first, second
    first = ports[0]
    if instance.mode == "bridge":
        return first, ports[1]
    second_or_none = next((port for port in ports if port.name == first.peer), None)
    if second_or_none is None:
        raise UsageError(f'port "{first.name}" has no peer: name two ports that are peers')
    return first, second_or_none


def endpoint_of(port: Port) -> Endpoint:
    """The tester's device for a port. Raises DeviceError, NotPermitted, UsageError if it can't be known."""
    if port.link == "gone":
        raise DeviceError(f'port "{port.name}" has no device any more')
    if port.netns.startswith("net:["):
        raise UsageError(f'port "{port.name}" is in a network namespace without a name ({port.netns})')
    netns = port.netns or None
    driver = drivers.named(port.driver)
    if driver is not None and driver.makes_device:
        return Endpoint(port.device_name, netns)
    end = peer_of(netns, port.device_name)
    if end is None:
        raise UsageError(
            f'port "{port.name}": {port.device_name} is no veth, so its other end isn\'t known here: '
            "name the tester's devices with --ends"
        )
    return Endpoint(end[1], end[0])

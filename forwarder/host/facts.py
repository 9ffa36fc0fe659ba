# SPDX-License-Identifier: Apache-2.0
"""The facts of the host, and the fingerprint of those that don't change from run to run.

Two results with one fingerprint come from machines that are set up alike. The fingerprint is the SHA-256 of
these facts in canonical JSON. Devices aren't in it, as they belong to the test.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from forwarder.host.aspect import Aspect, stable
from forwarder.host.clock import Clock
from forwarder.host.device import Device
from forwarder.host.device_findings import DeviceFindings
from forwarder.host.finding import Case, Finding
from forwarder.host.interrupts import Interrupts
from forwarder.host.isolation import Isolation
from forwarder.host.kernel import Kernel
from forwarder.host.machine import Machine
from forwarder.host.memory import Memory
from forwarder.host.power import Power
from forwarder.host.tree import HOST, Tree


@dataclass(frozen=True)
class Facts:
    machine: Machine
    kernel: Kernel
    clock: Clock
    power: Power
    isolation: Isolation
    interrupts: Interrupts
    memory: Memory
    devices: Mapping[str, Device]  # by "netns/name" or "name"; those of the test

    def aspects(self) -> Iterator[tuple[str, Aspect]]:
        """All but the devices."""
        return ((name, getattr(self, name)) for name in self.__dataclass_fields__ if name != "devices")

    def findings(self, case: Case) -> Iterator[Finding]:
        for _, aspect in self.aspects():
            yield from aspect.findings(case)
        for device in self.devices.values():
            yield from DeviceFindings(device, case, self.machine.nodes).all()

    def to_json(self) -> dict[str, Any]:
        """By aspect and fact. What is unknown is null."""
        return asdict(self)

    @property
    def fingerprint(self) -> str:
        return _fingerprint({name: stable(aspect) for name, aspect in self.aspects()})


def facts(devices: Iterable[tuple[str, str | None]] = (), tree: Tree = HOST) -> Facts:
    """Read them all, of devices that are given by name and network namespace.

    Takes some ten milliseconds. Raises DeviceError if a device isn't there, NotPermitted.
    """
    found = [Device.read(name, netns, tree) for name, netns in devices]
    return Facts(
        machine=Machine.read(tree),
        kernel=Kernel.read(tree),
        clock=Clock.read(tree),
        power=Power.read(tree),
        isolation=Isolation.read(tree),
        interrupts=Interrupts.read(tree),
        memory=Memory.read(tree),
        devices={device.shown: device for device in found},
    )


def _fingerprint(found: Mapping[str, Any]) -> str:
    text = json.dumps(found, sort_keys=True, separators=(",", ":"), default=asdict)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"

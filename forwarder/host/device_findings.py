# SPDX-License-Identifier: Apache-2.0
"""What a network device's settings mean for a measurement through it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from forwarder.config.cpus import format_cpu_list
from forwarder.host.aspect import PerCpu, cpus_of
from forwarder.host.device import Device
from forwarder.host.finding import Case, Finding, judged

_MERGING = {"lro": "rx-lro", "rx-gro-hw": "rx-gro-hw"}  # as `ethtool -K` calls them, and the kernel
_HARDWARE_STAMPS = {"hardware-transmit", "hardware-receive", "hardware-raw-clock"}


@dataclass(frozen=True)
class DeviceFindings:
    device: Device
    case: Case
    nodes: PerCpu | None  # NUMA nodes of the machine

    def all(self) -> Iterator[Finding]:
        """What a device without hardware can't have wrong is left out."""
        yield self._link()
        yield self._merging()
        yield self._spreading()
        if self.device.hardware:
            yield self._flow_control()
            yield self._delay()
            yield self._rings()
            yield self._slot()
            yield self._node()
            yield self._stamps()

    def _link(self) -> Finding:
        device = self.device
        speed = f" {device.speed_mbit} Mbit/s" if device.speed_mbit else ""
        return judged(
            "link",
            f"link of {device.shown}",
            device.state and f"{device.state}{speed}",
            device.state in ("up", "unknown"),
            "warn",
            f"/sys/class/net/{device.name}/operstate",
            "A device whose link is down carries nothing.",
            self._commands(f"ip link set {self._word} up"),
        )

    def _merging(self) -> Finding:
        features = self.device.driver.features
        on = [short for short, name in _MERGING.items() if name in (features or ())]
        return judged(
            "merging",
            f"merging by {self.device.shown}",
            None if features is None else ", ".join(on) or "off",
            not on,
            "warn",
            f"ethtool -k {self._word}",
            "The device makes one frame of several, and forgets what they were: counts and sizes are wrong.",
            self._commands(*(f"ethtool -K {self._word} {short} off" for short in on)),
        )

    def _spreading(self) -> Finding:
        queues = self.device.receive_cpus
        over = {queue: cpus for queue, cpus in queues.items() if cpus}
        folder = f"/sys/class/net/{self.device.name}/queues"
        return judged(
            "spreading",
            f"spreading by {self.device.shown}",
            ", ".join(f"{queue} over CPUs {cpus}" for queue, cpus in over.items()) or "off"
            if queues
            else None,
            not over,
            "advise",
            f"{folder}/rx-*/rps_cpus",
            "The kernel hands received packets to other CPUs: each costs an interrupt between CPUs.",
            self._commands(*(f"sh -c 'echo 0 > {folder}/{queue}/rps_cpus'" for queue in over)),
        )

    def _flow_control(self) -> Finding:
        pause = self.device.driver.pause
        on = [way for way in ("rx", "tx") if pause and pause[way]]
        return judged(
            "flow_control",
            f"flow control of {self.device.shown}",
            None if pause is None else ", ".join(on) or "off",
            not on,
            "warn",
            f"ethtool -a {self._word}",
            "A device that can't keep up stops the sender instead of losing frames: its limit isn't seen.",
            self._commands(f"ethtool -A {self._word} autoneg off rx off tx off"),
        )

    def _delay(self) -> Finding:
        found = self.device.driver.coalesce or {}
        adaptive, usecs = found.get("rx_adaptive"), found.get("rx_us", 0)
        wanted = 0 if self.case.purpose == "latency" else usecs
        return judged(
            "interrupt_delay",
            f"interrupt delay of {self.device.shown}",
            ("adaptive" if adaptive else f"{usecs} us") if found else None,
            not adaptive and usecs == wanted,
            self.case.level("advise", "warn"),
            f"ethtool -c {self._word}",
            "An interrupt waits for more frames. That is part of the latency, and an adaptive one varies.",
            self._commands(f"ethtool -C {self._word} adaptive-rx off rx-usecs {wanted}"),
        )

    def _rings(self) -> Finding:
        rings = self.device.driver.rings or {}
        short = [way for way in ("rx", "tx") if rings and rings[way] < rings[f"{way}_max"]]
        longest = " ".join(f"{way} {rings[f'{way}_max']}" for way in short)
        return judged(
            "device_rings",
            f"rings of {self.device.shown}",
            ", ".join(f"{way} {rings[way]} of {rings[f'{way}_max']}" for way in ("rx", "tx"))
            if rings
            else None,
            not short or self.case.purpose == "latency",  # a longer ring is a longer queue
            "advise",
            f"ethtool -g {self._word}",
            "A frame that finds no slot is lost, though the forwarder would have had time a moment later.",
            self._commands(f"ethtool -G {self._word} {longest}"),
        )

    def _slot(self) -> Finding:
        slot = self.device.pcie or {}
        shown = [f"{slot.get(f'{of}speed')} x{slot.get(f'{of}width')}" for of in ("", "max_")]
        full = shown[0] == shown[1]
        return judged(
            "slot",
            f"slot of {self.device.shown}",
            (shown[0] if full else f"{shown[0]}, the card can {shown[1]}") if len(slot) == 4 else None,
            full,
            "warn",
            f"/sys/class/net/{self.device.name}/device/current_link_*",
            "The slot is slower than the card, which may not reach its line rate. Try another slot.",
        )

    def _node(self) -> Finding:
        """A machine with one node says -1."""
        node, nodes = self.device.numa_node, self.nodes
        near = cpus_of((nodes or {}).get(str(node), ""))
        anywhere = node == -1 or (nodes is not None and len(nodes) == 1)
        return judged(
            "device_node",
            f"NUMA node of {self.device.shown}",
            None
            if node is None or (nodes is None and not anywhere)
            else "the only one"
            if anywhere
            else f"{node} (CPUs {format_cpu_list(near)})",
            anywhere or self.case.cpus <= near,
            "warn",
            f"/sys/class/net/{self.device.name}/device/numa_node",
            "Each frame crosses between the nodes. Name CPUs of the device's node.",
        )

    def _stamps(self) -> Finding:
        stamps = self.device.driver.timestamps
        return judged(
            "timestamps",
            f"timestamps of {self.device.shown}",
            None if stamps is None else "hardware" if set(stamps) >= _HARDWARE_STAMPS else "the kernel's",
            set(stamps or ()) >= _HARDWARE_STAMPS or self.case.purpose == "throughput",
            "advise",
            f"ethtool -T {self._word}",
            "The kernel's stamps include the wait for its interrupt. The result names which were used.",
        )

    @property
    def _word(self) -> str:
        return shlex.quote(self.device.name)

    def _commands(self, *commands: str) -> tuple[str, ...]:
        """In the device's namespace; `ip netns exec` shows its devices in /sys, too."""
        netns = self.device.netns
        return tuple(f"ip netns exec {shlex.quote(netns)} {each}" if netns else each for each in commands)

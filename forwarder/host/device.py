# SPDX-License-Identifier: Apache-2.0
"""A network device: its driver's settings, where its hardware is, and which CPUs its packets are moved to."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Self

from forwarder.config.cpus import format_cpu_list
from forwarder.devices.device import printable
from forwarder.devices.netns import inside
from forwarder.errors import DeviceError
from forwarder.host import ethtool
from forwarder.host.sysfs import of_this_namespace
from forwarder.host.tree import HOST, NOWHERE, Tree


@dataclass(frozen=True)
class Device:
    name: str
    netns: str | None  # None: that of this process
    driver: ethtool.Driver
    state: str | None  # of the link, as the kernel says it: up, down, unknown (a tap's)
    speed_mbit: int | None
    mtu: int | None
    hardware: bool | None  # there is any
    numa_node: int | None
    pcie: Mapping[str, str] | None  # speed, width, max_speed, max_width
    interrupts: tuple[str, ...]  # numbers
    receive_cpus: Mapping[str, str]  # by queue, that the kernel spreads its packets over (RPS)
    transmit_cpus: Mapping[str, str]  # by queue, that use it (XPS)

    @classmethod
    def read(cls, name: str, netns: str | None = None, tree: Tree = HOST) -> Self:
        """Raises DeviceError if there is no such device or namespace, NotPermitted."""
        where = f' in network namespace "{netns}"' if netns else ""
        with inside(netns), ExitStack() as stack:
            try:
                socket.if_nametoindex(name)
            except (OSError, ValueError):
                raise DeviceError(f'there is no network device "{printable(name)}"{where}') from None
            try:
                found = ethtool.driver(name)
            except OSError as error:
                raise DeviceError(f'network device "{name}"{where}: {error.strerror}') from None
            sysfs = tree
            if netns is not None:
                try:
                    sysfs = stack.enter_context(of_this_namespace())
                except OSError:  # an old kernel, or not permitted
                    sysfs = NOWHERE
            return cls._of(name, netns, found, sysfs)

    @classmethod
    def _of(cls, name: str, netns: str | None, driver: ethtool.Driver, sysfs: Tree) -> Self:
        folder = f"/sys/class/net/{name}"
        card = f"{folder}/device"
        files = {
            "speed": "current_link_speed",
            "width": "current_link_width",
            "max_speed": "max_link_speed",
            "max_width": "max_link_width",
        }
        pcie = {
            what: text for what, file in files.items() if (text := sysfs.text(f"{card}/{file}")) is not None
        }
        speed = sysfs.number(f"{folder}/speed")
        return cls(
            name=name,
            netns=netns,
            driver=driver,
            state=sysfs.text(f"{folder}/operstate"),
            speed_mbit=speed if speed is not None and speed > 0 else None,
            mtu=sysfs.number(f"{folder}/mtu"),
            hardware=sysfs.exists(card) if sysfs.exists(folder) else None,
            numa_node=sysfs.number(f"{card}/numa_node"),
            pcie=pcie or None,
            interrupts=sysfs.names(f"{card}/msi_irqs"),
            receive_cpus=_by_queue(sysfs, folder, "rps_cpus"),
            transmit_cpus=_by_queue(sysfs, folder, "xps_cpus"),
        )

    @property
    def shown(self) -> str:
        return f"{self.netns}/{self.name}" if self.netns else self.name


def _by_queue(sysfs: Tree, folder: str, file: str) -> Mapping[str, str]:
    masks = {
        queue: sysfs.mask(f"{folder}/queues/{queue}/{file}") for queue in sysfs.names(f"{folder}/queues")
    }
    return {queue: format_cpu_list(cpus) for queue, cpus in masks.items() if cpus is not None}

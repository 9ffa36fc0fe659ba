# SPDX-License-Identifier: Apache-2.0
"""What tests of doctor put beside a copied host: a quiet second, and a good NIC."""

from __future__ import annotations

from dataclasses import fields, replace

from forwarder.host.counters import Counters
from forwarder.host.device import Device
from forwarder.host.ethtool import Driver
from forwarder.host.look import Look
from forwarder.host.noise import Noise
from forwarder.host.tree import Tree
from forwarder.results.model import Disturbance
from tests.support.host_tree import QUIET

SECOND = 1_000_000_000
STILL = Noise(SECOND, 0, 0, 3_000)


def quiet_look(tree: Tree, **changes: object) -> Look:
    """A second in which nothing happened."""
    begin = Counters.now(tree)
    end = replace(begin, at_ns=begin.at_ns + SECOND)
    seen = Disturbance(foreign_cpu_ratio=0.0, steal_ratio=0.0, softirq_ratio=0.0, wait_ratio=0.0)
    return replace(Look(begin, end, seen, (), dict.fromkeys(QUIET, STILL)), **changes)  # type: ignore[arg-type]


def card(**changes: object) -> Device:
    """A NIC as it should be."""
    driver = Driver(
        name="ice",
        version="6.12",
        firmware="4.4",
        bus="0000:17:00.0",
        features=("rx-checksum", "rx-gro"),
        rings={"rx": 4096, "rx_max": 4096, "tx": 4096, "tx_max": 4096},
        channels={"combined": 4, "combined_max": 64},
        coalesce={"rx_us": 0, "rx_adaptive": 0},
        pause={"autoneg": 0, "rx": 0, "tx": 0},
        timestamps=("hardware-transmit", "hardware-receive", "hardware-raw-clock"),
        ptp_clock=0,
    )
    names = {each.name for each in fields(Driver)}
    driver = replace(driver, **{name: value for name, value in changes.items() if name in names - {"name"}})  # type: ignore[arg-type]
    device = Device(
        name="eth1",
        netns=None,
        driver=driver,
        state="up",
        speed_mbit=100_000,
        mtu=1500,
        hardware=True,
        numa_node=0,
        pcie={"speed": "16.0 GT/s PCIe", "width": "16", "max_speed": "16.0 GT/s PCIe", "max_width": "16"},
        interrupts=("36",),
        receive_cpus={"rx-0": ""},
        transmit_cpus={"tx-0": "2"},
    )
    return replace(device, **{name: value for name, value in changes.items() if name not in names - {"name"}})  # type: ignore[arg-type]

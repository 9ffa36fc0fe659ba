# SPDX-License-Identifier: Apache-2.0
"""The drivers, and the facts about each that need no device: names, configuration, which counters mean drops.

Quick to import, as the configuration and `ttfwd stats` need it. The port class of each driver is in
forwarder.devices. A new driver is a name and an entry here, and an entry in forwarder.devices.choice.PORTS.
"""

from typing import Final, Literal, NamedTuple

from forwarder.native import lib

Name = Literal["turbotap", "uring", "tap", "packet"]
Io = Literal["zerocopy", "burst", "mmsg"]
AUTO: Final = "auto"  # a port's configuration leaves the choice to us


class Driver(NamedTuple):  # a dataclass takes eight times as long to define
    """One way for bursts to cross the kernel boundary. A driver with several ways (io) has several entries.

    The defaults hold for every tap: we receive what the host sends on it, so its rx counters are our tx.
    """

    name: Name
    number: int  # enum ttf_driver
    io_name: Io | Literal[""] = ""
    # We make the device and set up its namespace, address, mac and mtu. Otherwise its owner does.
    makes_device: bool = True
    # The device's counter of packets that were dropped before we received them, and of those after we sent.
    dropped_before: Literal["rx_dropped", "tx_dropped"] = "tx_dropped"
    dropped_after: Literal["rx_dropped", "tx_dropped"] = "rx_dropped"
    # False: the kernel reports an error once, so a call without an error doesn't show that the queue works.
    reports_recovery: bool = True

    def __str__(self) -> str:
        return f"{self.name}/{self.io_name}" if self.io_name else self.name


TURBOTAP_ZEROCOPY = Driver("turbotap", lib.TTF_DRIVER_TURBOTAP_ZEROCOPY, "zerocopy")
TURBOTAP_BURST = Driver("turbotap", lib.TTF_DRIVER_TURBOTAP_BURST, "burst")
TURBOTAP_MMSG = Driver("turbotap", lib.TTF_DRIVER_TURBOTAP_MMSG, "mmsg")
URING = Driver("uring", lib.TTF_DRIVER_URING)
TAP = Driver("tap", lib.TTF_DRIVER_TAP)
PACKET = Driver(
    "packet",
    lib.TTF_DRIVER_PACKET,
    makes_device=False,
    dropped_before="rx_dropped",
    dropped_after="tx_dropped",
    reports_recovery=False,
)

# Fastest first: the order in which `auto` tries them.
DRIVERS = (TURBOTAP_ZEROCOPY, TURBOTAP_BURST, TURBOTAP_MMSG, URING, TAP, PACKET)


def named(name: str) -> Driver | None:
    """A driver by its name, None if there is none. Drivers of one name differ in number and io_name only."""
    return next((driver for driver in DRIVERS if driver.name == name), None)


def choices(configured: str) -> tuple[Driver, ...]:
    """The drivers that a port may get, fastest first. `auto` allows all that make their device."""
    if configured == AUTO:
        return tuple(driver for driver in DRIVERS if driver.makes_device)
    return tuple(driver for driver in DRIVERS if driver.name == configured)

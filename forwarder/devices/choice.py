# SPDX-License-Identifier: Apache-2.0
"""The port class of each driver, and the choice among drivers: the fastest that this machine offers.

docs/drivers.md describes the drivers. A new one is an entry in PORTS and one in forwarder.drivers.DRIVERS.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from forwarder.config.model import PortConfig
from forwarder.devices.crossing import Crossing
from forwarder.devices.packet import PacketPort
from forwarder.devices.port import Offer, Port
from forwarder.devices.tap import TapPort
from forwarder.devices.turbotap import TurbotapPort
from forwarder.devices.uring import UringPort
from forwarder.drivers import AUTO, Driver, Name, choices
from forwarder.errors import DeviceError

PORTS: Mapping[str, type[Port]] = MappingProxyType(
    {"turbotap": TurbotapPort, "uring": UringPort, "tap": TapPort, "packet": PacketPort}
)


@dataclass(frozen=True)
class Choice:
    """The driver of a port, and why it is that one."""

    driver: Driver
    note: str


def choose(config: PortConfig, crossing: Crossing | str) -> Choice:
    """Choose the driver of a port. `crossing`: the instance's, or why it has none.

    Raises DeviceError when this machine doesn't offer the configured one.
    """
    if config.driver == AUTO:
        return _fastest(config, crossing)
    offer = PORTS[config.driver].offer(config, crossing)
    if isinstance(offer, str):
        raise DeviceError(f'port "{config.name}": driver {config.driver}: {offer}')
    faster = _faster(config, crossing, offer.driver)
    return _choice(offer, "as configured", f"{faster} would be faster" if faster else "")


def _fastest(config: PortConfig, crossing: Crossing | str) -> Choice:
    passed_over: list[str] = []
    for name in _automatic():
        offer = PORTS[name].offer(config, crossing)
        if isinstance(offer, Offer):
            return _choice(offer, "the fastest here", *passed_over)
        passed_over.append(f"not {name}: {offer}")
    raise DeviceError(f'port "{config.name}": no driver: {"; ".join(passed_over)}')


def _faster(config: PortConfig, crossing: Crossing | str, driver: Driver) -> Name | None:
    """The driver that `auto` would choose before this one."""
    names = _automatic()
    if driver.name not in names:
        return None
    before = names[: names.index(driver.name)]
    return next((name for name in before if isinstance(PORTS[name].offer(config, crossing), Offer)), None)


def _automatic() -> tuple[Name, ...]:
    """The names among which `auto` chooses, fastest first."""
    return tuple(dict.fromkeys(driver.name for driver in choices(AUTO)))


def _choice(offer: Offer, *remarks: str) -> Choice:
    return Choice(offer.driver, "; ".join(filter(None, (*remarks, offer.remark))))

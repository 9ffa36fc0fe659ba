# SPDX-License-Identifier: Apache-2.0
"""A device's own counters, read now. `ttfwd stats` has those of ports too, up to a second old."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from forwarder.devices.netns import inside
from forwarder.errors import DeviceError
from forwarder.tester.trial import Endpoint

# Of this thread: the namespace that it is in while the file is opened.
_COUNTERS = Path("/proc/thread-self/net/dev")
_RX_PACKETS, _RX_DROPPED, _TX_PACKETS, _TX_DROPPED = 1, 3, 9, 11  # columns; proc_pid_net(5)


@dataclass(frozen=True, slots=True)
class Counters:
    """Frames, from the kernel's point of view: a tap transmits what its program reads."""

    rx_packets: int
    rx_dropped: int
    tx_packets: int
    tx_dropped: int

    def since(self, before: Counters) -> Counters:
        return Counters(
            self.rx_packets - before.rx_packets,
            self.rx_dropped - before.rx_dropped,
            self.tx_packets - before.tx_packets,
            self.tx_dropped - before.tx_dropped,
        )


def require_device(endpoint: Endpoint) -> None:
    """Raises DeviceError, NotPermitted unless there is such a device."""
    read_counters(endpoint)


def read_counters(endpoint: Endpoint) -> Counters:
    """Raises DeviceError, NotPermitted."""
    numbers = _lines(endpoint.netns).get(endpoint.device)
    if numbers is None:
        raise missing_device(endpoint)
    return Counters(
        *(int(numbers[column]) for column in (_RX_PACKETS, _RX_DROPPED, _TX_PACKETS, _TX_DROPPED))
    )


def missing_device(endpoint: Endpoint) -> DeviceError:
    where = f' in network namespace "{endpoint.netns}"' if endpoint.netns else ""
    return DeviceError(f"{endpoint.device}: there is no such device{where}")


def _lines(netns: str | None) -> dict[str, list[str]]:
    with inside(netns):
        text = _COUNTERS.read_text()
    parts = (line.partition(":") for line in text.splitlines()[2:])
    return {name.strip(): numbers.split() for name, _, numbers in parts}

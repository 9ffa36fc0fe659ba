# SPDX-License-Identifier: Apache-2.0
"""Ports' devices as they are now: what changes is written to the statistics, logged, and told to workers.

The kernel notifies of most changes. It is silent about some (gso_max_size, for one), and notifications can
get lost, so every device is looked at once a second as well, when its counters are read.

A device may change thousands of times a second, by the hand of somebody who isn't trusted. So devices are
looked at every LOOK_PAUSE_NS at most, and a port has one line in the log a second at most, which then says
the difference to the line before.
"""

import logging
from dataclasses import dataclass

from pyroute2.netlink.exceptions import NetlinkError

from forwarder.devices.device import Device, changes
from forwarder.devices.devices import Devices
from forwarder.devices.port import Port
from forwarder.errors import TtfwdError
from forwarder.logs import about
from forwarder.supervisor.port_table import PortTable, TablePort
from forwarder.supervisor.shared_state import SharedState
from forwarder.worker.messages import Delivery, UpdatePort

READ_EVERY_NS = 1_000_000_000
LOOK_PAUSE_NS = 50_000_000
LOG_PAUSE_NS = 1_000_000_000

log = logging.getLogger("ttfwd")


@dataclass(frozen=True)
class _Logged:
    """The device that the log speaks of, and when it did."""

    device: Device
    at_ns: int


class DeviceFollower:
    def __init__(self, table: PortTable, state: SharedState, devices: Devices) -> None:
        self._table = table
        self._state = state
        self._devices = devices
        self._noticed: set[Port] = set()
        self._logged: dict[Port, _Logged] = {}
        self._unreadable: set[Port] = set()
        self._looked_ns = 0
        self._read_ns = 0

    def fileno(self) -> int:
        """Readable when follow() should be called."""
        return self._devices.fileno()

    def follow(self, now_ns: int) -> list[TablePort]:
        """Look at the devices that changed, and at all once a second.

        Returns the ports of which workers must be told.
        """
        self._noticed |= self._devices.noticed()
        all_due = now_ns - self._read_ns >= READ_EVERY_NS
        if not all_due and (not self._noticed or now_ns - self._looked_ns < LOOK_PAUSE_NS):
            return []
        noticed, self._noticed, self._looked_ns = self._noticed, set(), now_ns
        if all_due:
            self._read_ns = now_ns
        due = [entry for entry in self._table if all_due or entry.port in noticed]
        self._logged = {entry.port: self._spoken_of(entry.port) for entry in self._table}
        self._unreadable &= self._logged.keys()
        return [entry for entry in due if self._look(entry, entry.port in noticed, now_ns)]

    def _spoken_of(self, port: Port) -> _Logged:
        return self._logged.get(port) or _Logged(port.device, 0)

    def _look(self, entry: TablePort, thorough: bool, now_ns: int) -> bool:
        """Whether the workers must be told."""
        before, told = entry.port.device, self._told_first(entry)
        try:
            device = self._devices.look(entry.port, thorough=thorough)
        except (NetlinkError, OSError, TtfwdError) as error:
            if entry.port not in self._unreadable:
                name = entry.port.name
                extra = about(port=name, reason=str(error))
                log.warning("port %s: its device can't be looked at: %s", name, error, extra=extra)
            self._unreadable.add(entry.port)
            return False
        self._unreadable.discard(entry.port)
        if device.counters:
            self._state.write_device(entry.port_id, device.counters, now_ns)
        if device != before:
            self._state.device_changed(entry.port_id, device)
        self._log(entry.port, now_ns)
        return self._told_first(entry) != told

    def _told_first(self, entry: TablePort) -> Delivery[UpdatePort]:
        """What worker 0 is told of the device. It has a queue of every port."""
        return self._table.update(entry.port_id, worker=0)

    def _log(self, port: Port, now_ns: int) -> None:
        logged, device = self._logged[port], port.device
        if device == logged.device or now_ns - logged.at_ns < LOG_PAUSE_NS:
            return
        level = logging.INFO if device.link in ("up", "no_carrier") else logging.WARNING
        what = ", ".join(changes(logged.device, device))
        log.log(level, "port %s: %s", port.name, what, extra=about(port=port.name))
        self._logged[port] = _Logged(device, now_ns)

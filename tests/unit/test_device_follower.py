# SPDX-License-Identifier: Apache-2.0
"""What becomes of a change of a device: statistics, log and workers hear of it, once, and never too often."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from pyroute2.netlink.exceptions import NetlinkError

from forwarder.config.model import Config
from forwarder.devices.device import Device
from forwarder.devices.place import Identity, Place
from forwarder.supervisor.device_follower import (
    LOG_PAUSE_NS,
    LOOK_PAUSE_NS,
    READ_EVERY_NS,
    DeviceFollower,
)
from forwarder.supervisor.port_table import PortTable

START_NS = 10**12


def place(name: str | None) -> Place:
    return Place(name, Identity(boot="b", inode=1, cookie=1))


DEVICE = Device(place("lab"), "eth0", 7, "up", "02:00:00:00:00:01", 1500, 3, counters={"rx_packets": 1})


class FakePort:
    """A port whose device the test changes: `now` is what look() finds."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.device = self.now = DEVICE


class Lab:
    """Two ports, and what their follower did."""

    def __init__(self) -> None:
        self.table = PortTable(Config(queues=1))
        self.ports = [FakePort("a"), FakePort("b")]
        for port in self.ports:
            self.table.add(self.table.free_id(), port, generation=2)  # type: ignore[arg-type]
        self.noticed: set[FakePort] = set()
        self.looks: list[tuple[str, bool]] = []
        self.written: list[int] = []
        self.described: list[tuple[int, Device]] = []
        self.failure: Exception | None = None
        devices: Any = SimpleNamespace(noticed=self._take_noticed, look=self._look)
        state: Any = SimpleNamespace(
            write_device=lambda port_id, *_: self.written.append(port_id),
            device_changed=lambda port_id, device: self.described.append((port_id, device)),
        )
        self.follower = DeviceFollower(self.table, state, devices)
        self.follow(0)
        self.looks.clear()
        self.written.clear()

    def _take_noticed(self) -> set[FakePort]:
        noticed, self.noticed = self.noticed, set()
        return noticed

    def _look(self, port: FakePort, *, thorough: bool) -> Device:
        self.looks.append((port.name, thorough))
        if self.failure is not None:
            raise self.failure
        port.device = port.now
        return port.device

    def follow(self, after_ns: int) -> list[str]:
        """The names of the ports of which workers are told."""
        return [entry.port.name for entry in self.follower.follow(START_NS + after_ns)]


@pytest.fixture
def lab() -> Lab:
    return Lab()


def test_a_device_is_looked_at_when_it_changed_and_all_are_once_a_second(lab: Lab) -> None:
    lab.follow(LOOK_PAUSE_NS)
    assert lab.looks == []
    lab.noticed.add(lab.ports[1])
    lab.follow(2 * LOOK_PAUSE_NS)
    assert lab.looks == [("b", True)], "with its features, which only a notification tells of"
    lab.follow(READ_EVERY_NS)
    assert lab.looks[1:] == [("a", False), ("b", False)]
    assert lab.written == [1, 0, 1]
    assert lab.described == []


def test_workers_are_told_of_what_concerns_them_alone(lab: Lab) -> None:
    for number, change in enumerate(({"mtu": 9000}, {"offloads": 1}, {"name": "eth5"}, {"link": "down"}), 1):
        port = lab.ports[0]
        port.now = replace(port.now, **change)  # type: ignore[arg-type]
        lab.noticed.add(port)
        assert lab.follow(number * LOOK_PAUSE_NS) == (["a"] if number <= 2 else [])
        assert lab.described[-1] == (0, port.now)
    assert len(lab.described) == 4


def test_the_kernel_is_silent_about_a_change_and_it_is_found_all_the_same(lab: Lab) -> None:
    lab.ports[1].now = replace(DEVICE, offloads=1, limit="gso_max_size 30000")
    assert lab.follow(READ_EVERY_NS) == ["b"]


def test_the_log_says_old_and_new(lab: Lab, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    lab.ports[0].now = replace(DEVICE, place=place(None), name="eth5", ifindex=9, mtu=9000, mac="02::1")
    lab.ports[1].now = replace(DEVICE, link="no_carrier", offloads=1, limit="gso_max_size 30000")
    lab.follow(READ_EVERY_NS)
    lab.ports[1].now = replace(lab.ports[1].now, link="gone")
    lab.follow(2 * READ_EVERY_NS)
    assert [(record.levelname, record.message) for record in caplog.records] == [
        (
            "INFO",
            "port a: namespace lab -> host, name eth0 -> eth5, ifindex 7 -> 9, "
            "MAC 02:00:00:00:00:01 -> 02::1, MTU 1500 -> 9000",
        ),
        ("INFO", "port b: link up -> no carrier, offload csum tso4 -> csum (gso_max_size 30000)"),
        (
            "WARNING",
            "port b: link no carrier -> gone (its device was deleted, or moved to another namespace)",
        ),
    ]


def test_a_device_that_never_rests_is_followed_but_fills_no_log(
    lab: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    port, step_ns = lab.ports[0], LOOK_PAUSE_NS // 5
    steps = 2 * LOG_PAUSE_NS // step_ns
    for number in range(1, steps + 1):
        port.now = replace(DEVICE, mtu=1000 + number)
        lab.noticed.add(port)
        lab.follow(number * step_ns)
    assert port.device.mtu > 1000 + steps - 5
    assert len(lab.looks) <= steps / 5 + 4
    assert 1 <= len(caplog.records) <= 3
    port.now = replace(DEVICE, mtu=576)
    lab.follow(3 * READ_EVERY_NS + LOG_PAUSE_NS)
    assert caplog.records[-1].message.endswith("-> 576"), "the last word is said in any case"


def test_a_device_that_cannot_be_read_just_now_is_as_it_was(
    lab: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    for number, failure in enumerate((NetlinkError(16), OSError(24, "Too many open files")), 1):
        lab.failure = failure
        assert lab.follow(number * READ_EVERY_NS) == []
        assert lab.ports[0].device == DEVICE
    assert len(caplog.records) == 2, "once for each port"
    assert lab.described == []
    lab.failure, lab.ports[0].now = None, replace(DEVICE, mtu=9000)
    assert lab.follow(3 * READ_EVERY_NS) == ["a"]

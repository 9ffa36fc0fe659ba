# SPDX-License-Identifier: Apache-2.0
"""What is read of devices in another network namespace, against `ethtool` and the files there.

host                namespace
                    dr0 ===== dr1  (veth, two queues)
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from forwarder.errors import DeviceError
from forwarder.host.device import Device
from forwarder.host.device_findings import DeviceFindings
from forwarder.host.finding import Case, Finding
from tests.support.commands import in_namespace, ip, run
from tests.support.netns import namespace
from tests.support.wait import wait_until

CASE = Case("throughput", frozenset((0,)), frozenset())


@pytest.fixture
def netns() -> Iterator[str]:
    with namespace() as name:
        queues = ("numtxqueues", "2", "numrxqueues", "2")
        ip("link", "add", "dr0", *queues, "type", "veth", "peer", "name", "dr1", netns=name)
        ip("link", "set", "dr0", "up", "mtu", "1400", netns=name)
        ip("link", "set", "dr1", "up", netns=name)
        wait_until(lambda: Device.read("dr0", name).state == "up", "dr0 is up")
        yield name


def shell(netns: str, command: str) -> str:
    return run(*in_namespace(netns, "sh", "-c", command)).stdout


def found(netns: str) -> dict[str, Finding]:
    device = Device.read("dr0", netns)
    return {finding.name: finding for finding in DeviceFindings(device, CASE, None).all()}


def test_the_driver_tells_what_ethtool_shows(netns: str) -> None:
    driver = Device.read("dr0", netns).driver
    info = dict(re.findall(r"^([\w-]+): (.*)$", shell(netns, "ethtool -i dr0"), re.MULTILINE))
    assert (driver.name, driver.version) == (info["driver"], info["version"])
    # ethtool indents the names that are the kernel's.
    on = re.findall(r"^\t([\w-]+): on", shell(netns, "ethtool -k dr0"), re.MULTILINE)
    assert on
    assert set(on) <= set(driver.features or ())
    stamps = re.findall(r"^\s+((?:soft|hard)ware-[\w-]+)", shell(netns, "ethtool -T dr0"), re.MULTILINE)
    assert sorted(driver.timestamps or ()) == sorted(stamps)
    assert driver.channels is not None
    assert (driver.channels["rx"], driver.channels["rx_max"]) == (2, 2)


def test_its_files_are_those_of_its_own_namespace(netns: str) -> None:
    assert not Path("/sys/class/net/dr0").exists()
    device = Device.read("dr0", netns)
    assert (device.state, device.mtu, device.hardware) == ("up", 1400, False)
    assert device.receive_cpus == {"rx-0": "", "rx-1": ""}
    assert device.shown == f"{netns}/dr0"


@pytest.mark.parametrize(
    ("worsen", "name", "value"),
    [
        ("echo 1 > /sys/class/net/dr0/queues/rx-1/rps_cpus", "spreading", "rx-1 over CPUs 0"),
        ("ip link set dr0 down", "link", "down"),
    ],
)
def test_the_command_mends_what_was_found(netns: str, worsen: str, name: str, value: str) -> None:
    assert found(netns)[name].level == "ok"
    shell(netns, worsen)
    finding = found(netns)[name]
    assert (finding.level == "ok", finding.value) == (False, value)
    for command in finding.commands:
        run("sh", "-c", command)
    # The kernel sees to a link's state in its own time.
    wait_until(lambda: found(netns)[name].level == "ok", f"{name} is mended")


def test_a_device_that_is_not_there(netns: str) -> None:
    with pytest.raises(DeviceError, match=f'no network device "dr2" in network namespace "{netns}"'):
        Device.read("dr2", netns)
    with pytest.raises(DeviceError, match='no network device "dr0"'):
        Device.read("dr0")

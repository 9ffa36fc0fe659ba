# SPDX-License-Identifier: Apache-2.0
"""From bare hosts to running instances and back: site, upgrade, rollback and teardown, over SSH."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.hosts import Lab, Played, lab_hosts
from tests.lab.package import make_bare, package

pytestmark = pytest.mark.timeout(1200)

GROUPS = {"tester": [], "dut": ["dut1", "dut2"], "monitor": ["mon1"]}
UNIT = "ttfwd@lab.service"
INSTANCE = {
    "queues": 1,
    "mode": "xconnect",
    "port": [
        {"name": "lab0", "driver": "tap", "netns": "left", "address": ["10.77.0.1/24"], "peer": "lab1"},
        {"name": "lab1", "driver": "tap", "netns": "right", "address": ["10.77.0.2/24"]},
    ],
}
# What nothing may be left of.
LEFT = (
    "/etc/*ttfwd* /etc/systemd/system/*ttfwd* /usr/bin/ttfwd /usr/local/sbin/ttfwd* /var/lib/ttfwd* /run/ttfwd*"
    " /run/netns/left /lib/systemd/system/ttfwd*"
)
# Of the settings that a host can have, those of its network namespace are its own here.
SYSCTL = "net.core.somaxconn"
SHARED = {"ttfwd_instances": {"lab": INSTANCE}, "host_tuning_sysctl": {SYSCTL: 1234}}


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with lab_hosts("dut1", "dut2", "mon1") as lab:
        for name in ("dut1", "dut2", "mon1"):
            make_bare(lab.host(name))
        yield lab


@pytest.fixture(scope="module")
def packages(lab: Lab) -> list[Path]:
    return [package(lab.directory, version) for version in ("1.0-1", "2.0-1")]


def play(lab: Lab, name: str, code: int, *options: str, **shared: object) -> str:
    inventory = lab.inventory(GROUPS, **{**SHARED, **shared})
    played: Played = lab.play(f"ttfwd.lab.{name}", inventory, *options)
    assert played.code == code, played.output
    return played.output


def version(lab: Lab, host: str) -> str:
    return lab.host(host).run("dpkg-query", "--show", "--showformat=${Version}", "ttfwd")


def pings(lab: Lab, host: str) -> None:
    printed = lab.host(host).run("ip", "netns", "exec", "left", "ping", "-c", "3", "-W", "5", "10.77.0.2")
    assert " 0% packet loss" in printed


def changed(output: str) -> dict[str, int]:
    """By host, what the recap of a playbook says."""
    return {name: int(count) for name, count in re.findall(r"^(\S+) +: ok=.* changed=(\d+)", output, re.M)}


def test_site_upgrade_rollback_and_teardown(lab: Lab, packages: list[Path]) -> None:
    first, second = (str(path) for path in packages)
    play(lab, "site", 0, "--check", ttfwd_packages=[first])
    assert lab.host("dut1").run("which", "ttfwd", code=None) == ""

    play(lab, "site", 0, ttfwd_packages=[first])
    for host in ("dut1", "dut2"):
        pings(lab, host)
        assert lab.host(host).systemctl("is-enabled", UNIT) == "enabled"
    metrics = lab.host("mon1").run("curl", "-s", "http://10.98.7.11:9467/metrics")
    assert 'ttfwd_received_packets_total{ttfwd="lab"}' in metrics
    assert lab.host("dut1").run("sysctl", "-n", SYSCTL) == "1234\n"
    said = play(lab, "site", 0, ttfwd_packages=[first])
    assert "scaling_governor: this host has none" in said
    assert changed(said) == {"dut1": 0, "dut2": 0, "mon1": 0, "localhost": 0}, said

    said = play(lab, "upgrade", 0, ttfwd_packages=[second])
    assert re.search(r"dut1: ttfwd@lab.service: 1.0-1 to 2.0-1,\s+interrupted for [1-9]\d* ms", said), said
    assert [version(lab, host) for host in ("dut1", "dut2")] == ["2.0-1", "2.0-1"]
    pings(lab, "dut2")

    broken = str(package(lab.directory, "3.0-1", "#!/bin/sh\necho it is broken >&2\nexit 2\n"))
    said = play(lab, "upgrade", 2, ttfwd_packages=[broken])
    assert "dut1 has version 2.0-1 again, and no further host is upgraded" in said
    assert "UPGRADE OF dut2" not in said
    assert [version(lab, host) for host in ("dut1", "dut2")] == ["2.0-1", "2.0-1"]
    assert "3.0-1" not in lab.host("dut2").run("ls", "/var/lib/ttfwd-lab/packages")
    pings(lab, "dut1")

    said = play(lab, "upgrade", 0, "-e", "ttfwd_version=1.0-1")
    assert [version(lab, host) for host in ("dut1", "dut2")] == ["1.0-1", "1.0-1"]
    said = play(lab, "upgrade", 2, "-e", "ttfwd_version=0.9-1")
    assert "the host keeps ttfwd_1.0-1_amd64.deb, ttfwd_2.0-1_amd64.deb" in " ".join(said.split())
    pings(lab, "dut1")

    lab.host("dut2").run("sh", "-c", "mkdir -p /var/lib/ttfwd-lab/packages && mount -t tmpfs -o size=4k full /var/lib/ttfwd-lab/packages")
    bad = {**INSTANCE, "mode": "xconect"}
    said = play(lab, "site", 2, ttfwd_packages=[first], ttfwd_instances={"lab": bad})
    assert "dut1: Configure the instances: failed to validate" in said
    assert "xconect" in said
    pings(lab, "dut1")
    lab.host("dut2").run("umount", "/var/lib/ttfwd-lab/packages")

    play(lab, "teardown", 0)
    for host in ("dut1", "dut2"):
        assert lab.host(host).run("sysctl", "-n", SYSCTL) != "1234\n"
        found = lab.host(host).run(
            "sh", "-c", f"ls -d {LEFT} 2>/dev/null", code=None
        )
        assert found == ""
    said = play(lab, "teardown", 0)
    assert set(changed(said).values()) == {0}, said

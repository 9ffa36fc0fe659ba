# SPDX-License-Identifier: Apache-2.0
"""From bare hosts to running instances and back: site, a failed upgrade and teardown, over SSH."""

from __future__ import annotations

import pytest

from tests.lab.deployed import SYSCTL, UNIT, bare_lab, changed, left, pings, play, version
from tests.lab.package import package


@pytest.mark.timeout(2400)
def test_from_bare_hosts_to_instances_and_back() -> None:
    with bare_lab() as lab:
        first = str(package(lab.directory, "1.0-1"))
        play(lab, "site", 0, ttfwd_packages=[first])
        for host in ("dut1", "dut2"):
            pings(lab, host)
            assert lab.host(host).systemctl("is-enabled", UNIT) == "enabled"
            assert lab.host(host).run("sysctl", "-n", SYSCTL) == "1234\n"
        metrics = lab.host("mon1").run("curl", "-s", "http://10.98.7.11:9467/metrics")
        assert 'ttfwd_received_packets_total{ttfwd="lab"}' in metrics

        broken = str(package(lab.directory, "2.0-1", "#!/bin/sh\necho it is broken >&2\nexit 2\n"))
        said = play(lab, "upgrade", 2, ttfwd_packages=[broken])
        assert "dut1 has version 1.0-1 again, and no further host is upgraded: Restart the instance: " in said
        assert "Unable to restart service ttfwd@lab.service" in said
        assert [version(lab, host) for host in ("dut1", "dut2")] == ["1.0-1", "1.0-1"]
        assert "2.0-1" not in lab.host("dut2").run("ls", "/var/lib/ttfwd-lab/packages")
        pings(lab, "dut1")

        said = play(lab, "site", 0, ttfwd_packages=[first])
        assert "scaling_governor: this host has none" in said
        assert "virtual machine: " in said or "interruptions: " in said, "what ttfwd doctor finds"
        assert changed(said) == {"dut1": 0, "dut2": 0, "mon1": 0, "localhost": 0}, said

        play(lab, "teardown", 0)
        for host in ("dut1", "dut2"):
            assert lab.host(host).run("sysctl", "-n", SYSCTL) != "1234\n"
            assert left(lab, host) == ""

# SPDX-License-Identifier: Apache-2.0
"""ttfwd from a signed repository: the latest version, another one and back, none of it left."""

from __future__ import annotations

from tests.lab.deployed import SHARED, left, pings, version
from tests.lab.hosts import Lab, lab_hosts
from tests.lab.package import make_bare, package
from tests.lab.repository import know_no_repository, source_of


def play(lab: Lab, name: str, code: int = 0, **shared: object) -> str:
    inventory = lab.inventory({"tester": [], "dut": ["dut1"], "monitor": []}, **SHARED, **shared)
    return lab.play(f"ttfwd.lab.{name}", inventory).ended(code)


def test_versions_of_a_repository() -> None:
    with lab_hosts("dut1") as lab:
        host = lab.host("dut1")
        make_bare(host)
        know_no_repository(host)
        packages = [package(lab.directory, number) for number in ("1.0-1", "2.0-1")]
        with source_of(packages) as source:
            play(lab, "site", ttfwd_repository=source, ttfwd_version="1.0-1")
            assert version(lab, "dut1") == "1.0-1"
            pings(lab, "dut1")

            said = play(lab, "upgrade", ttfwd_repository=source)
            assert "1.0-1 to 2.0-1, interrupted for" in " ".join(said.split())
            assert version(lab, "dut1") == "2.0-1"
            pings(lab, "dut1")

            play(lab, "upgrade", ttfwd_repository=source, ttfwd_version="1.0-1")
            assert version(lab, "dut1") == "1.0-1"
            said = play(lab, "upgrade", 2, ttfwd_repository=source, ttfwd_version="0.9-1")
            assert "no available installation candidate for ttfwd=0.9-1" in said
            assert version(lab, "dut1") == "1.0-1"
            pings(lab, "dut1")

            play(lab, "teardown", ttfwd_repository=source)
            assert left(lab, "dut1") == ""
            there = "ls /etc/apt/sources.list.d/* /etc/apt/keyrings/ttfwd* 2>/dev/null"
            assert host.run("sh", "-c", there, code=None) == ""

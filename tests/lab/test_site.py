# SPDX-License-Identifier: Apache-2.0
"""A lab that changes: a dry run, upgrade and rollback, bad input on one host, teardown twice."""

from __future__ import annotations

import re

import pytest

from tests.lab.deployed import INSTANCE, bare_lab, changed, left, pings, play, version
from tests.lab.package import package

KEPT = "/var/lib/ttfwd-lab/packages"


@pytest.mark.timeout(2400)
def test_a_lab_changes() -> None:
    with bare_lab() as lab:
        first, second = (str(package(lab.directory, version)) for version in ("1.0-1", "2.0-1"))
        play(lab, "site", 0, "--check", ttfwd_packages=[first])
        assert lab.host("dut1").run("which", "ttfwd", code=None) == ""

        play(lab, "site", 0, ttfwd_packages=[first])
        said = play(lab, "upgrade", 0, ttfwd_packages=[second])
        for host in ("dut1", "dut2"):
            wanted = rf"{host}: ttfwd@lab.service: 1.0-1 to 2.0-1,\s+interrupted for [1-9]\d* ms"
            assert re.search(wanted, said), said
            assert version(lab, host) == "2.0-1"
            pings(lab, host)

        play(lab, "upgrade", 0, "-e", "ttfwd_version=1.0-1")
        assert [version(lab, host) for host in ("dut1", "dut2")] == ["1.0-1", "1.0-1"]
        said = play(lab, "upgrade", 2, "-e", "ttfwd_version=0.9-1")
        assert "the host keeps ttfwd_1.0-1_amd64.deb, ttfwd_2.0-1_amd64.deb" in said

        # Each host fails for a reason of its own, and what runs goes on.
        full = f"mount -t tmpfs -o size=4k full {KEPT} && head -c 4k /dev/zero >{KEPT}/full"
        lab.host("dut2").run("sh", "-c", full)
        bad = {**INSTANCE, "mode": "xconect"}
        said = play(lab, "site", 2, ttfwd_packages=[first], ttfwd_instances={"lab": bad})
        lab.host("dut2").run("umount", KEPT)
        assert re.search(r"dut1: Configure the instances: failed to validate: .*xconect", said), said
        assert re.search(r"dut2: Keep the packages on the host: .*No space left on device", said), said
        assert changed(said)["mon1"] == 0
        pings(lab, "dut1")

        play(lab, "site", 0, ttfwd_packages=[first], ttfwd_instances={})
        assert lab.host("dut1").run("ls", "/run/netns") == ""
        assert "no instance is running" in lab.host("dut1").run("ttfwd", "list")

        play(lab, "teardown", 0)
        for host in ("dut1", "dut2"):
            assert left(lab, host) == ""
        said = play(lab, "teardown", 0)
        assert set(changed(said).values()) == {0}, said

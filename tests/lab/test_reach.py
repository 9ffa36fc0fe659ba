# SPDX-License-Identifier: Apache-2.0
"""Hosts out of reach, from the beginning or midway: each playbook goes on with the others, and names them."""

from __future__ import annotations

import pytest

from tests.lab.deployed import INSTANCE, last_task, left, version
from tests.lab.hosts import Lab, lab_hosts
from tests.lab.package import make_bare, package

GROUPS = {"tester": ["tg1"], "dut": ["dut1", "dut2"]}
LINKS = [{"a": f"tg1/eth{at}{port}", "b": f"dut{at}/eth{port}"} for at in (1, 2) for port in (1, 2)]
SHARED = {
    "lab_links": LINKS,
    "lab_matrix": {
        "test": "mrr",
        "drivers": ["packet"],
        "sizes": [60],
        "allow_noise": True,
        "profile": {"repeat": 1, "mrr": {"trials": 2, "trial_s": 0.3}, "selftest": {"trial_s": 0.3}},
    },
    "lab_patience_s": 8,
    "ttfwd_instances": {"lab": INSTANCE},
}
AWAY = "dut2: See whether the host answers: timed out waiting for ping module test"
# Where it is asked whether a configuration is valid, it takes the host off its network.
CUTS = "#!/bin/sh\nip link set mgmt0 down\nsleep 60\n"


FAILED, UNREACHABLE = 2, 4  # exit statuses of Ansible's


def play(lab: Lab, name: str, *options: str, code: int = FAILED, **shared: object) -> str:
    """What a playbook says whose exit status says that hosts failed."""
    inventory = lab.inventory(GROUPS, **SHARED, **shared)
    return lab.play(f"ttfwd.lab.{name}", inventory, *options).ended(code)


@pytest.mark.timeout(2400)
def test_hosts_out_of_reach() -> None:
    with lab_hosts("tg1", "dut1", "dut2") as lab:
        for link in LINKS[:2]:
            lab.cable(*link["a"].split("/"), *link["b"].split("/"))
        lab.host("tg1").run("ip", "link", "add", "eth21", "type", "veth", "peer", "eth22")
        for name in ("tg1", "dut1", "dut2"):
            make_bare(lab.host(name))
        first, second, third = (
            str(package(lab.directory, f"{number}.0-1", program))
            for number, program in ((1, None), (2, None), (3, CUTS))
        )
        lab.kill("dut2")

        said = play(lab, "site", ttfwd_packages=[first])
        assert AWAY in last_task(said)
        assert [version(lab, name) for name in ("tg1", "dut1")] == ["1.0-1", "1.0-1"]
        said = play(lab, "site", "--limit", "dut2", ttfwd_packages=[first])
        assert AWAY in last_task(said)

        said = play(lab, "upgrade", ttfwd_packages=[second])
        assert AWAY in last_task(said)
        assert [version(lab, name) for name in ("tg1", "dut1")] == ["2.0-1", "2.0-1"]

        said = play(lab, "cables")
        assert "tg1/eth11 - dut1/eth1: good" in said, said
        assert "tg1/eth21 - dut2/eth1: not probed: dut2 can't be asked" in last_task(said)
        assert AWAY in last_task(said)

        said = play(lab, "bench")
        assert "1 cells to measure in 1 slots; 0 have a result; 1 can't be measured" in said, said
        assert f"dut2_tg1_mrr_packet_1q_1f_60B: {AWAY}" in last_task(said), said
        assert len(list(lab.results.glob("cells/dut1_tg1_*/*/result.json"))) == 1

        said = play(lab, "teardown")
        assert AWAY in last_task(said)
        assert [left(lab, name) for name in ("tg1", "dut1")] == ["", ""]

        # Now the others are lost midway: not one host of the play is left.
        said = play(lab, "site", code=UNREACHABLE, ttfwd_packages=[third])
        assert AWAY in last_task(said)
        for name in ("tg1", "dut1"):
            assert f"{name}: the connection broke during the role ttfwd" in last_task(said)

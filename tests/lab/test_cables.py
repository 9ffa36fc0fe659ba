# SPDX-License-Identifier: Apache-2.0
"""Real hosts and cables: what is crossed or dead is said by name, and a bad inventory touches nothing."""

from __future__ import annotations

from tests.lab.hosts import Lab, lab_hosts

GROUPS = {"tester": ["tg1"], "dut": ["dut1"]}
LINKS = [{"a": f"tg1/eth{port}", "b": f"dut1/eth{port}"} for port in (1, 2)]
MATRIX = {"drivers": ["tap"], "sizes": [60]}


def cables(lab: Lab, code: int, **shared: object) -> str:
    inventory = lab.inventory(GROUPS, **{"lab_links": LINKS, "lab_matrix": MATRIX, **shared})
    return lab.play("ttfwd.lab.cables", inventory, "-e", "lab_probe_seconds=6").ended(code)


def test_cables_are_told_apart() -> None:
    with lab_hosts("tg1", "dut1") as lab:
        for port in ("eth1", "eth2"):
            lab.cable("tg1", port, "dut1", port)
        said = cables(lab, 0)
        assert "tg1/eth1 - dut1/eth1: good" in said
        assert "tg1/eth2 - dut1/eth2: good" in said

        said = cables(lab, 2, lab_links=[LINKS[0], {"a": "tg1/eth2", "b": "dut1/eth9"}])
        assert "lab_links[1].b: dut1 has no interface eth9; it has eth1, eth2, lo, mgmt0" in said
        assert "Probe the cables" not in said

        said = cables(lab, 2, lab_links=[{"a": "tg1/eth1", "b": "dut2/eth1"}, LINKS[1]])
        assert "lab_links[0].b: no host dut2 in the inventory; is it dut1?" in said
        assert "Look at the host" not in said

        crossed = [{"a": "tg1/eth1", "b": "dut1/eth2"}, {"a": "tg1/eth2", "b": "dut1/eth1"}]
        said = cables(lab, 2, lab_links=crossed)
        assert "tg1/eth1 hears dut1/eth1, not dut1/eth2; dut1/eth2 hears tg1/eth2, not tg1/eth1" in said

        lab.host("dut1").run("ip", "link", "add", "nowhere", "type", "veth", "peer", "loose")
        dead = [LINKS[0], {"a": "tg1/eth2", "b": "dut1/nowhere"}]
        said = cables(lab, 2, lab_links=dead)
        assert "tg1/eth1 - dut1/eth1: good" in said
        assert "tg1/eth2 - dut1/nowhere: dead: nothing comes through" in said

# SPDX-License-Identifier: Apache-2.0
"""A matrix over real devices: one dies in the middle, the others are measured, and the next run goes on."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.lab.hosts import Lab, lab_hosts
from tests.support.wait import wait_until

GROUPS = {"tester": ["tg1", "tg2"], "dut": ["dut1", "dut2"]}
LINKS = [{"a": f"tg{at}/eth{port}", "b": f"dut{at}/eth{port}"} for at in (1, 2) for port in (1, 2)]
# On a machine that others use, too, hardly any result is publishable.
MATRIX = {
    "test": "mrr",
    "drivers": ["packet", "tap"],
    "sizes": [60, 1514],
    "allow_noise": True,
    "profile": {"repeat": 1, "mrr": {"trials": 2, "trial_s": 0.3}, "selftest": {"trial_s": 0.3}},
}
# CPUs are the hosts' in common here.
SHARED = {"lab_links": LINKS, "lab_matrix": MATRIX, "tester_patience_s": 5}


def kept(lab: Lab) -> list[Path]:
    return sorted(lab.results.glob("cells/*/*/cell.json"))


def measured_of(lab: Lab, dut: str) -> int:
    return sum(path.parts[-3].startswith(f"{dut}_") for path in kept(lab))


@pytest.mark.timeout(1800)
@pytest.mark.alone
def test_a_host_dies_in_the_middle_and_the_matrix_is_resumed() -> None:
    with lab_hosts("tg1", "dut1", "tg2", "dut2") as lab:
        for at in (1, 2):
            for port in ("eth1", "eth2"):
                lab.cable(f"tg{at}", port, f"dut{at}", port)
        inventory = lab.inventory(GROUPS, **SHARED)

        playing = lab.start_play("ttfwd.lab.bench", inventory)
        wait_until(
            lambda: measured_of(lab, "dut2") >= 1 or playing.poll() is not None, "a cell is measured", 600
        )
        lab.kill("dut2")
        said, _ = playing.communicate(timeout=900)
        assert playing.returncode != 0, said
        assert measured_of(lab, "dut1") == 4
        assert 1 <= measured_of(lab, "dut2") < 4
        plan = json.loads((lab.results / "plan.json").read_text())
        assert {one["id"].partition("_")[0] for one in plan["unmeasured"]} == {"dut2"}
        assert len(plan["unmeasured"]) == 4 - measured_of(lab, "dut2")

        lab.boot("dut2")
        before = kept(lab)
        said = lab.play("ttfwd.lab.bench", inventory).ended(0)
        assert f"{8 - len(before)} cells to measure" in said
        assert len(kept(lab)) == 8
        assert set(before) < set(kept(lab))

        said = lab.play("ttfwd.lab.bench", inventory).ended(0)
        assert "0 cells to measure in 0 slots; 8 have a result; 0 can't be measured" in said
        assert len(kept(lab)) == 8
        page = (lab.results / "report.html").read_text()
        assert "8 of 8 cells have a valid result" in page
        for dut in ("dut1", "dut2"):
            assert lab.host(dut).run("ip", "-br", "link", "show", "type", "bridge") == ""
            assert "no instance is running" in lab.host(dut).run("ttfwd", "list")

        # Why an instance doesn't start is the reason of its cell, in the instance's own words.
        lab.host("dut1").run("ip", "link", "add", "ttlabtap0", "type", "veth")
        one = {"lab_links": LINKS[:2], "lab_matrix": {**MATRIX, "drivers": ["tap"], "sizes": [512]}}
        inventory = lab.inventory({"tester": ["tg1"], "dut": ["dut1"]}, **{**SHARED, **one})
        said = lab.play("ttfwd.lab.bench", inventory).ended(2)
        assert re.search(r"dut1_tg1_mrr_tap_\S+: Start the instance: dut1: .*ttlabtap0", said), said

# SPDX-License-Identifier: Apache-2.0
"""A lab's matrix: its cells, when they are measured, and which results count."""

from __future__ import annotations

import json
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from deploy.ansible.plugins.filter.lab import plan, unmeasured
from deploy.ansible.plugins.module_utils.cables import cables, ways
from deploy.ansible.plugins.module_utils.crossed import judge
from deploy.ansible.plugins.module_utils.matrix import Cell, cells, key, slots
from deploy.ansible.plugins.module_utils.profile import toml

LINKS = [
    {"a": "tg1/eth1", "b": "dut1/eth1"},
    {"a": "dut1/eth2", "b": "tg1/eth2"},
    {"a": "tg2/eth1", "b": "dut1/eth3"},
    {"a": "tg2/eth2", "b": "dut1/eth4"},
]
MATRIX = {"test": "mrr", "drivers": ["uring", "tap"], "sizes": [60, 1514]}
GROUPS = {"all": ["tg1", "tg2", "dut1"], "tester": ["tg1", "tg2"], "dut": ["dut1"]}
HEARD = {
    "tg1": {"eth1": ["dut1/eth1"], "eth2": ["dut1/eth2"]},
    "tg2": {"eth1": ["dut1/eth3"], "eth2": ["dut1/eth4"]},
    "dut1": {"eth1": ["tg1/eth1"], "eth2": ["tg1/eth2"], "eth3": ["tg2/eth1"], "eth4": ["tg2/eth2"]},
}


def planned_cells() -> list[Cell]:
    return cells(MATRIX, ways(cables(LINKS), ["tg1", "tg2"], ["dut1"]))


def test_a_cell_for_every_combination_on_every_way() -> None:
    found = planned_cells()
    assert len({cell["id"] for cell in found}) == len(found) == 8
    first = found[0]
    assert first["id"] == "dut1_tg1_mrr_uring_1q_1f_60B"
    assert (first["tester_interfaces"], first["dut_interfaces"]) == (["eth1", "eth2"], ["eth1", "eth2"])


def test_a_second_way_between_two_hosts_has_cells_of_its_own() -> None:
    more = [*LINKS, {"a": "tg1/eth5", "b": "dut1/eth5"}, {"a": "tg1/eth6", "b": "dut1/eth6"}]
    found = cells(MATRIX, ways(cables(more), ["tg1", "tg2"], ["dut1"]))
    assert len({cell["id"] for cell in found}) == 12


def test_no_host_has_two_cells_in_one_slot() -> None:
    found = slots(planned_cells())
    assert len(found) == 8  # both testers share the device
    for slot in found:
        hosts = [host for cell in slot.values() for host in (cell["tester"], cell["dut"])]
        assert len(hosts) == len(set(hosts))


def test_testers_with_a_device_each_work_at_once() -> None:
    apart = [*LINKS[:2], {"a": "tg2/eth1", "b": "dut2/eth1"}, {"a": "tg2/eth2", "b": "dut2/eth2"}]
    found = slots(cells(MATRIX, ways(cables(apart), ["tg1", "tg2"], ["dut1", "dut2"])))
    assert [sorted(slot) for slot in found] == [["tg1", "tg2"]] * 4


def host(version: str = "1") -> dict[str, Any]:
    return {
        "lab_links": LINKS,
        "lab_host": {"version": version, "fingerprint": "sha256:0", "kernel": "6.1"},
    }


def hosts_at(results: Path, **matrix: Any) -> dict[str, dict[str, Any]]:
    lab = {"lab_results": str(results), "lab_matrix": {**MATRIX, **matrix}}
    return {name: {**host(), **lab} for name in GROUPS["all"]}


def store(directory: Path, cell: Cell, run: str = "20260101T000000.000000Z", **result: Any) -> None:
    at = directory / "cells" / cell["id"] / run
    at.mkdir(parents=True)
    (at / "cell.json").write_text(json.dumps(cell))
    (at / "result.json").write_text(json.dumps({"complete": True, "publishable": True, **result}))


def test_what_has_a_valid_result_is_not_measured_again(tmp_path: Path) -> None:
    first = plan(GROUPS, hosts_at(tmp_path), [])
    assert (len(first["measure"]), first["done"], first["blocked"]) == (8, [], [])
    store(tmp_path, first["measure"][0])
    store(tmp_path, first["measure"][1], complete=False)
    store(tmp_path, first["measure"][2], publishable=False)
    second = plan(GROUPS, hosts_at(tmp_path), [])
    assert second["done"] == first["measure"][:1]
    assert second["measure"] == first["measure"][1:]
    assert len(plan(GROUPS, hosts_at(tmp_path), [], remeasure=True)["measure"]) == 8


def test_a_result_of_another_version_is_measured_again(tmp_path: Path) -> None:
    for cell in plan(GROUPS, hosts_at(tmp_path), [])["measure"]:
        store(tmp_path, cell)
    later = plan(GROUPS, {**hosts_at(tmp_path), "tg2": host("2")}, [])
    assert {cell["tester"] for cell in later["measure"]} == {"tg2"}
    assert {cell["tester"] for cell in later["done"]} == {"tg1"}


def test_noise_counts_where_it_is_allowed(tmp_path: Path) -> None:
    noisy = hosts_at(tmp_path, allow_noise=True)
    cell = plan(GROUPS, noisy, [])["measure"][0]
    store(tmp_path, cell, publishable=False)
    assert plan(GROUPS, noisy, [])["done"] == [cell]


def test_a_bad_cable_or_a_missing_host_blocks_its_own_cells_only(tmp_path: Path) -> None:
    cable = "tg2/eth1 - dut1/eth3"
    bad = {"cable": cable, "good": False, "says": f"{cable}: dead: nothing comes through"}
    hosts = hosts_at(tmp_path)
    found = plan(GROUPS, hosts, [bad])
    assert {cell["tester"] for cell in found["measure"]} == {"tg1"}
    assert {cell["reason"] for cell in found["blocked"]} == {bad["says"]}
    for changed, why in (
        ({"lab_failure": "timed out"}, "timed out"),
        ({"lab_host": {**hosts["tg1"]["lab_host"], "version": None}}, "no ttfwd is installed"),
    ):
        found = plan(GROUPS, {**hosts, "tg1": {**hosts["tg1"], **changed}}, [])
        assert {cell["tester"] for cell in found["measure"]} == {"tg2"}
        assert {cell["reason"] for cell in found["blocked"]} == {f"tg1: {why}"}


def test_what_is_missing_in_the_end_has_its_reason(tmp_path: Path) -> None:
    found = plan(GROUPS, hosts_at(tmp_path), [])
    for cell in found["measure"][4:]:
        store(tmp_path, cell)
    store(tmp_path, found["measure"][2], publishable=False, why_not=["steal 2 %", "one start"])
    store(tmp_path, found["measure"][3], complete=False, why_not=["no space left on device"])
    first, second, third, fourth = (cell["id"] for cell in found["measure"][:4])
    hosts = {**hosts_at(tmp_path), "tg1": {"tester_failures": {first: "dut1 went away"}}}
    assert unmeasured(found, hosts, str(tmp_path)) == [
        {"id": first, "reason": "dut1 went away"},
        {"id": second, "reason": "it wasn't measured"},
        {"id": third, "reason": "not publishable: steal 2 %; one start"},
        {"id": fourth, "reason": "interrupted: no space left on device"},
    ]


def test_the_key_is_of_all_that_a_result_depends_on() -> None:
    cell = planned_cells()[0]
    same = {"tg1": {"version": 1}, "dut1": {"version": 1}}
    keys = [
        key(cell, same),
        key(cell, {**same, "dut1": {"version": 2}}),
        key({**cell, "profile": {"repeat": 2}}, same),
    ]
    assert len(set(keys)) == 3
    assert key({**cell, "key": "old"}, same) == keys[0]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, "good"),
        ({"tg1": {}}, "tg1/eth1 hears nothing, not dut1/eth1"),
        ({"tg1": {}, "dut1": {}}, "dead: nothing comes through"),
        ({"dut1": None}, "not probed: dut1 can't be asked"),
        ({"tg1": {"eth1": ["dut1/eth1", "tg1/eth2"]}}, "good"),
    ],
)
def test_one_cable(changes: dict[str, Any], says: str) -> None:
    heard = {name: at for name, at in {**HEARD, **changes}.items() if at is not None}
    found = judge(LINKS, heard)[0]
    assert found["says"] == f"tg1/eth1 - dut1/eth1: {says}"
    assert found["good"] == (says == "good")


def test_crossed_cables_say_where_they_go() -> None:
    crossed = {
        **HEARD,
        "tg1": {"eth1": ["dut1/eth2"], "eth2": ["dut1/eth1"]},
        "dut1": {**HEARD["dut1"], "eth1": ["tg1/eth2"], "eth2": ["tg1/eth1"]},
    }
    found = [one["says"] for one in judge(LINKS, crossed)]
    assert found[0] == (
        "tg1/eth1 - dut1/eth1: tg1/eth1 hears dut1/eth2, not dut1/eth1; "
        "dut1/eth1 hears tg1/eth2, not tg1/eth1"
    )
    assert [one.endswith(": good") for one in found] == [False, False, True, True]


def test_a_profile_is_toml() -> None:
    profile = {"repeat": 2, "goals": ["ndr"], "mrr": {"trials": 3, "trial_s": 0.5}, "receiver": "tc"}
    assert tomllib.loads(toml(profile)) == profile


def test_slots_of_many_hosts() -> None:
    links = [{"a": f"tg{at}/eth{port}", "b": f"dut{at}/eth{port}"} for at in range(200) for port in (1, 2)]
    hosts = [f"{kind}{at}" for kind in ("tg", "dut") for at in range(200)]
    found = slots(cells(MATRIX, ways(cables(links), hosts[:200], hosts[200:])))
    assert [len(slot) for slot in found] == [200] * 4
    assert all(sorted(one) == sorted(other) for one, other in pairwise(found))

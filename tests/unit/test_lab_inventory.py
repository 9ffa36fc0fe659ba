# SPDX-License-Identifier: Apache-2.0
"""The check of a lab's inventory: what is wrong is refused by name, with its place."""

from __future__ import annotations

from typing import Any

import pytest

from deploy.ansible.plugins.module_utils.inventory import Host, Lab, problems

LINKS = [{"a": "tg1/eth1", "b": "dut1/eth1"}, {"a": "dut1/eth2", "b": "tg1/eth2"}]
MATRIX = {"drivers": ["uring", "tap"], "sizes": [60, "60x7,1514x1"]}
SEEN = {"lo": 65536, "eth1": 1500, "eth2": 1500}


def lab(links: Any = LINKS, matrix: Any = MATRIX, cpus: Any = None, asked: bool = True) -> Lab:
    host = Host(cpus, SEEN, range(4)) if asked else Host(cpus)
    return Lab(["tg1"], ["dut1"], {"tg1": host, "dut1": host, "mon1": Host()}, links, matrix)


def test_a_good_inventory_has_no_problem() -> None:
    assert problems(lab(cpus={"workers": [1, 2], "tester": [3], "irq": [0]})) == []
    assert problems(lab(asked=False)) == []


@pytest.mark.parametrize(
    ("links", "problem"),
    [
        ("tg1/eth1", "lab_links: not a list"),
        ([{"a": "tg1/eth1"}], "lab_links[0]: not a mapping with a and b"),
        ([{"a": "tg1", "b": "dut1/eth1"}], 'lab_links[0].a: "tg1" is not HOST/INTERFACE'),
        ([{"a": 7, "b": "dut1/eth1"}], 'lab_links[0].a: "7" is not HOST/INTERFACE'),
        (
            [*LINKS, {"a": "tg2/eth1", "b": "dut1/eth3"}],
            "lab_links[2].a: no host tg2 in the inventory; is it tg1?",
        ),
        (
            [*LINKS, {"a": "mon1/eth1", "b": "tg1/eth3"}],
            "lab_links[2].a: mon1 is neither in group tester nor in group dut",
        ),
        (
            [{"a": "tg1/eth7", "b": "dut1/eth1"}, LINKS[1]],
            "lab_links[0].a: tg1 has no interface eth7; it has eth1, eth2, lo",
        ),
        (
            [LINKS[0], {"a": "tg1/eth1", "b": "dut1/eth2"}],
            "lab_links[1].a: tg1/eth1 is used by lab_links[0].a already",
        ),
        ([{"a": "tg1/eth1", "b": "tg1/eth2"}], "lab_links[0]: both ends are on tg1"),
        (LINKS[:1], "lab_links: tg1 and dut1 have 1 cables; a way needs two: there and back"),
    ],
)
def test_links(links: Any, problem: str) -> None:
    assert problem in problems(lab(links=links))


@pytest.mark.parametrize(
    ("cpus", "problem"),
    [
        ([1], "dut1: lab_cpus: not a mapping of workers, tester, irq"),
        ({"worker": [1]}, "dut1: lab_cpus.worker: no such use; there are workers, tester, irq"),
        ({"workers": "1-2"}, "dut1: lab_cpus.workers: not a list of CPU numbers"),
        ({"workers": [True]}, "dut1: lab_cpus.workers: not a list of CPU numbers"),
        ({"workers": [1, 9]}, "dut1: lab_cpus.workers: dut1 has no CPU 9; it has 0, 1, 2, 3"),
        ({"workers": [1], "irq": [1]}, "dut1: lab_cpus.irq: CPU 1 is used for workers already"),
    ],
)
def test_cpus(cpus: Any, problem: str) -> None:
    assert problem in problems(lab(cpus=cpus))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"drivers": []}, "lab_matrix.drivers: not a list of one value or more"),
        (
            {"drivers": ["urin"]},
            'lab_matrix.drivers[0]: no driver "urin"; there are turbotap, uring, tap, packet; is it uring?',
        ),
        ({"drivers": ["tap", "tap"]}, "lab_matrix.drivers[1]: tap is there twice"),
        ({"sizes": [60, "60"]}, "lab_matrix.sizes[1]: 60 is there twice"),
        ({"sizes": [59]}, 'lab_matrix.sizes[0]: "59": a frame has 60 to 9014 bytes without FCS'),
        (
            {"sizes": ["60x"]},
            'lab_matrix.sizes[0]: "60x" is neither a number of bytes nor a mix such as 60x7,1514x1',
        ),
        (
            {"sizes": [1515]},
            "lab_matrix.sizes[0]: tg1/eth1 has an MTU of 1500: too small for 1515 bytes",
        ),
        ({"flows": [0]}, 'lab_matrix.flows[0]: "0" is not a number from 1 to 1048576'),
        ({"queues": [4]}, "lab_matrix.queues[0]: dut1 has 2 CPUs for workers (lab_cpus.workers)"),
        (
            {"test": "reset"},
            'lab_matrix.test: no test "reset" of a matrix; there are mrr, ndrpdr, latency, loss, burst, soak',
        ),
        (
            {"size": [60]},
            "lab_matrix.size: no such key; there are "
            "test, flows, queues, config, profile, allow_noise, drivers, sizes",
        ),
        ({"profile": 1}, "lab_matrix.profile: not a mapping"),
        ({"allow_noise": "yes"}, "lab_matrix.allow_noise: neither true nor false"),
    ],
)
def test_matrix(changes: dict[str, Any], problem: str) -> None:
    assert problem in problems(lab(matrix={**MATRIX, **changes}, cpus={"workers": [1, 2]}))


def test_every_problem_is_told_at_once() -> None:
    found = problems(lab(links=[{"a": "x/y", "b": "z/y"}], matrix={"drivers": ["no"], "sizes": [1]}))
    assert len(found) == 4


def test_a_host_is_tester_or_device_under_test() -> None:
    found = problems(Lab(["one"], ["one"], {"one": Host()}, [], MATRIX))
    assert found == ["groups: one is in both tester and dut"]

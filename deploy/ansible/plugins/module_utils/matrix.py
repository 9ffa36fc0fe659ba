# SPDX-License-Identifier: Apache-2.0
"""The matrix of measurements: its cells, in which order they are measured, and which have a result already.

Pure.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Any

from .cables import Way

DRIVERS = ("turbotap", "uring", "tap", "packet")
TESTS = ("mrr", "ndrpdr", "latency", "loss", "burst", "soak")
DEFAULTS: Mapping[str, Any] = {
    "test": "ndrpdr",
    "flows": [1],
    "queues": [1],
    "config": {},
    "profile": {},
    "allow_noise": False,
}
KEYS = (*DEFAULTS, "drivers", "sizes")

Cell = dict[str, Any]  # as Ansible hands it from task to task, and as it stands in cell.json


def cells(matrix: Mapping[str, Any], ways: Sequence[Way]) -> list[Cell]:
    """Every combination on every way. All ways have a cell before any has its second one."""
    full = {**DEFAULTS, **matrix}
    dimensions = product(full["drivers"], full["queues"], full["flows"], map(str, full["sizes"]))
    numbered = [(number_of(way, ways), way) for way in ways]
    return [
        {
            "id": _id(way, number, driver, queues, flows, sizes, full["test"]),
            "test": full["test"],
            "tester": way.tester,
            "dut": way.dut,
            "cables": [str(way.there), str(way.back)],
            "tester_interfaces": list(way.tester_interfaces),
            "dut_interfaces": list(way.dut_interfaces),
            "driver": driver,
            "queues": queues,
            "flows": flows,
            "sizes": sizes,
            "config": full["config"],
            "profile": full["profile"],
            "allow_noise": full["allow_noise"],
        }
        for driver, queues, flows, sizes in dimensions
        for number, way in numbered
    ]


def number_of(way: Way, ways: Sequence[Way]) -> int:
    """Which of the ways between its two hosts it is, from 1."""
    return [one for one in ways if (one.tester, one.dut) == (way.tester, way.dut)].index(way) + 1


def _id(way: Way, number: int, driver: str, queues: int, flows: int, sizes: str, test: str) -> str:
    """Names the cell, and its directory."""
    which = f"{way.dut}_{way.tester}" + (f"_{number}" if number > 1 else "")
    return f"{which}_{test}_{driver}_{queues}q_{flows}f_{sizes}B"


def slots(planned: Iterable[Cell]) -> list[dict[str, Cell]]:
    """When each cell is measured: in one slot no tester and no device under test has two of them."""
    free: dict[str, int] = {}
    found: list[dict[str, Cell]] = []
    for cell in planned:
        at = max(free.get(cell["tester"], 0), free.get(cell["dut"], 0))
        free[cell["tester"]] = free[cell["dut"]] = at + 1
        while len(found) <= at:
            found.append({})
        found[at][cell["tester"]] = cell
    return found


def key(cell: Cell, hosts: Mapping[str, Mapping[str, Any]]) -> str:
    """Of all that a result depends on: the cell, and of both hosts version, fingerprint and CPUs."""
    depends = {
        "cell": {name: cell[name] for name in sorted(cell) if name != "key"},
        "hosts": {host: hosts[host] for host in (cell["tester"], cell["dut"])},
    }
    return "sha256:" + hashlib.sha256(json.dumps(depends, sort_keys=True).encode()).hexdigest()

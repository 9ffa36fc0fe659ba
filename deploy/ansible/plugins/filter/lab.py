# SPDX-License-Identifier: Apache-2.0
"""The inventory's check and the plan of a matrix, for playbooks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..module_utils import cables, inventory, matrix, results
from ..module_utils.crossed import judge

Groups = Mapping[str, Sequence[str]]
HostVars = Mapping[str, Mapping[str, Any]]


def problems(groups: Groups, hostvars: HostVars) -> list[str]:
    """What is wrong with the inventory. `lab_host` is there for the hosts that were asked."""
    hosts = {}
    for name in groups.get("all", ()):
        seen = hostvars[name].get("lab_host")
        mtus = {one: facts["mtu"] for one, facts in seen["interfaces"].items()} if seen else None
        hosts[name] = inventory.Host(hostvars[name].get("lab_cpus"), mtus, seen["cpus"] if seen else None)
    lab = _lab_vars(groups, hostvars)
    return inventory.problems(
        inventory.Lab(
            groups.get("tester", ()),
            groups.get("dut", ()),
            hosts,
            lab.get("lab_links", []),
            lab.get("lab_matrix", {}),
        )
    )


def _lab_vars(groups: Groups, hostvars: HostVars) -> Mapping[str, Any]:
    """The lab's own variables are those of any of its hosts."""
    return next((hostvars[name] for name in groups.get("all", ())), {})


def plan(
    groups: Groups,
    hostvars: HostVars,
    directory: str,
    bad_cables: Mapping[str, str],
    remeasure: bool = False,
) -> dict[str, Any]:
    """What is to be measured in which slot, what has a valid result already, and what can't be measured."""
    lab = _lab_vars(groups, hostvars)
    testers, duts = groups.get("tester", ()), groups.get("dut", ())
    ways = cables.ways(cables.cables(lab["lab_links"]), testers, duts)
    to_measure, done, blocked = [], [], []
    hosts = {name: _depended_on(hostvars[name]) for name in (*testers, *duts)}
    for cell in matrix.cells(lab["lab_matrix"], ways):
        reason = _obstacle(cell, hosts, bad_cables)
        if reason:
            blocked.append({"id": cell["id"], "reason": reason})
            continue
        cell["key"] = matrix.key(cell, hosts)
        if not remeasure and results.is_done(Path(directory), cell):
            done.append(cell)
        else:
            to_measure.append(cell)
    return {"slots": matrix.slots(to_measure), "measure": to_measure, "done": done, "blocked": blocked}


def _depended_on(host: Mapping[str, Any]) -> dict[str, Any]:
    """Of a host, what a result depends on; empty if the host couldn't be asked."""
    seen = host.get("lab_host")
    if not seen or not seen.get("version"):
        return {}
    return {name: seen[name] for name in ("version", "fingerprint")} | {"cpus": host.get("lab_cpus")}


def _obstacle(cell: matrix.Cell, hosts: Mapping[str, Any], bad_cables: Mapping[str, str]) -> str | None:
    for host in (cell["tester"], cell["dut"]):
        if not hosts[host]:
            return f"{host} is out of reach, or has no ttfwd"
    for cable in cell["cables"]:
        if cable in bad_cables:
            return bad_cables[cable]
    return None


def unmeasured(
    planned: Mapping[str, Any], directory: str, failures: Mapping[str, str]
) -> list[dict[str, str]]:
    """The cells that have no valid result now, and why."""
    missing = [
        {"id": cell["id"], "reason": failures.get(cell["id"], "its result isn't valid")}
        for cell in planned["measure"]
        if not results.is_done(Path(directory), cell)
    ]
    return [*planned["blocked"], *missing]


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {
            "lab_problems": problems,
            "lab_plan": plan,
            "lab_unmeasured": unmeasured,
            "lab_cables": judge,
        }

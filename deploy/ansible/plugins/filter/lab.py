# SPDX-License-Identifier: Apache-2.0
"""The inventory's check, its cables and the plan of its matrix, for playbooks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..module_utils import cables, inventory, matrix, results
from ..module_utils.crossed import judge
from ..module_utils.failure import failure
from ..module_utils.profile import toml

Groups = Mapping[str, Sequence[str]]
HostVars = Mapping[str, Mapping[str, Any]]


def problems(groups: Groups, hostvars: HostVars) -> list[str]:
    """What is wrong with the inventory. Of hosts that were asked, also with what they have."""
    hosts = {}
    for name in groups.get("all", ()):
        seen = hostvars[name].get("lab_host")
        mtus = {one: facts["mtu"] for one, facts in seen["interfaces"].items()} if seen else None
        hosts[name] = inventory.Host(hostvars[name].get("lab_cpus"), mtus, seen["cpus"] if seen else None)
    lab = _lab_vars(groups, hostvars)
    testers, duts = _testers_and_duts(groups)
    return inventory.problems(
        inventory.Lab(testers, duts, hosts, lab.get("lab_links", []), lab.get("lab_matrix", {}))
    )


def _lab_vars(groups: Groups, hostvars: HostVars) -> Mapping[str, Any]:
    """The lab's own variables are those of any of its hosts."""
    return next((hostvars[name] for name in groups.get("all", ())), {})


def _testers_and_duts(groups: Groups) -> tuple[Sequence[str], Sequence[str]]:
    return groups.get("tester", ()), groups.get("dut", ())


def interfaces(links: Sequence[Mapping[str, str]], host: str) -> list[str]:
    """Those at which a cable of the host ends."""
    ends = (end for cable in cables.cables(links) for end in (cable.a, cable.b))
    return [end.interface for end in ends if end.host == host]


def cables_seen(groups: Groups, hostvars: HostVars) -> list[dict[str, Any]]:
    """Of each cable what the probe frames say of it."""
    heard = {}
    for group in _testers_and_duts(groups):
        for name in group:
            probe = hostvars[name].get("lab_probe") or {}
            if "heard" in probe:
                heard[name] = probe["heard"]
    return judge(_lab_vars(groups, hostvars)["lab_links"], heard)


def answering(groups: Groups, hostvars: HostVars) -> list[str]:
    """The testers and devices under test that said what they are."""
    return [name for group in _testers_and_duts(groups) for name in group if hostvars[name].get("lab_host")]


def plan(
    groups: Groups, hostvars: HostVars, seen: Sequence[Mapping[str, Any]], remeasure: bool = False
) -> dict[str, Any]:
    """What is to be measured in which slot, what has a valid result already, and what can't be measured."""
    lab = _lab_vars(groups, hostvars)
    directory = Path(lab["lab_results"])
    testers, duts = _testers_and_duts(groups)
    hosts = {name: _depended_on(hostvars[name]) for name in (*testers, *duts)}
    bad_cables = {one["cable"]: one["says"] for one in seen if not one["good"]}
    every = matrix.cells(lab["lab_matrix"], cables.ways(cables.cables(lab["lab_links"]), testers, duts))
    to_measure, done, blocked = [], [], []
    for cell in every:
        reason = _obstacle(cell, hostvars, bad_cables)
        if reason:
            blocked.append({"id": cell["id"], "reason": reason})
            continue
        cell["key"] = matrix.key(cell, hosts)
        cell["hosts"] = {name: _told(hostvars[name]["lab_host"]) for name in (cell["tester"], cell["dut"])}
        if not remeasure and results.is_done(directory, cell):
            done.append(cell)
        else:
            to_measure.append(cell)
    return {
        "cells": every,
        "slots": matrix.slots(to_measure),
        "measure": to_measure,
        "done": done,
        "blocked": blocked,
    }


def _depended_on(host: Mapping[str, Any]) -> dict[str, Any]:
    """Of a host, what a result depends on; empty if the host couldn't be asked."""
    seen = host.get("lab_host")
    if not seen or not seen.get("version"):
        return {}
    return {name: seen[name] for name in ("version", "fingerprint")} | {"cpus": host.get("lab_cpus")}


def _told(seen: Mapping[str, Any]) -> dict[str, Any]:
    """Of a host, what stands beside a result."""
    return {name: seen[name] for name in ("version", "fingerprint", "kernel")}


def _obstacle(cell: matrix.Cell, hostvars: HostVars, bad_cables: Mapping[str, str]) -> str | None:
    for host in (cell["tester"], cell["dut"]):
        why = failure(hostvars[host]) or (None if _depended_on(hostvars[host]) else "no ttfwd is installed")
        if why:
            return f"{host}: {why}"
    return next((bad_cables[cable] for cable in cell["cables"] if cable in bad_cables), None)


def unmeasured(planned: Mapping[str, Any], hostvars: HostVars, directory: str) -> list[dict[str, str]]:
    """The cells that have no valid result now, and why."""
    missing = []
    for cell in planned["measure"]:
        if not results.is_done(Path(directory), cell):
            failures = hostvars[cell["tester"]].get("tester_failures") or {}
            reason = failures.get(cell["id"]) or results.why_not_done(Path(directory), cell)
            missing.append({"id": cell["id"], "reason": reason or "it wasn't measured"})
    return [*planned["blocked"], *missing]


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {
            "lab_answering": answering,
            "lab_cables": cables_seen,
            "lab_interfaces": interfaces,
            "lab_plan": plan,
            "lab_problems": problems,
            "lab_toml": toml,
            "lab_unmeasured": unmeasured,
        }

# SPDX-License-Identifier: Apache-2.0
"""Results of a lab, made up: the folder that the collection's bench.yml leaves."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from deploy.ansible.plugins.module_utils.cables import cables, ways
from deploy.ansible.plugins.module_utils.matrix import Cell, cells
from forwarder.results.model import Rate
from tests.support import results

BEGIN = datetime(2026, 11, 1, 10, tzinfo=UTC)
MATRIX: dict[str, Any] = {
    "test": "mrr",
    "drivers": ["uring", "tap"],
    "sizes": [60, 1514],
    "allow_noise": True,
}

# The figure of a cell's run, frames a second.
Figure = Callable[[Cell, int], float]


def links(pairs: int) -> list[dict[str, str]]:
    """Two cables between each tester and a device under test of its own."""
    return [
        {"a": f"tg{pair}/eth{port}", "b": f"dut{pair}/eth{port}"}
        for pair in range(1, pairs + 1)
        for port in (1, 2)
    ]


def names(pairs: int, kind: str) -> list[str]:
    return [f"{kind}{pair}" for pair in range(1, pairs + 1)]


def matrix_of(pairs: int, **matrix: Any) -> list[Cell]:
    found = ways(cables(links(pairs)), names(pairs, "tg"), names(pairs, "dut"))
    return cells({**MATRIX, **matrix}, found)


def host(version: str = "0.1.0") -> dict[str, Any]:
    return {
        "version": {"ttfwd": version, "abi_version": 5, "built_from": f"tag {version}"},
        "fingerprint": "sha256:0f1e",
        "kernel": "6.1.0-30-amd64",
        "cpus": [0, 1, 2, 3],
        "findings": [{"name": "noise", "level": "block", "what": "interruptions", "value": "395 a second"}],
    }


def store(
    directory: Path,
    planned: Sequence[Cell],
    runs: int,
    figure: Figure,
    *,
    versions: Callable[[int], str] = lambda _: "0.1.0",
    unmeasured: Sequence[dict[str, str]] = (),
    **changes: Any,
) -> None:
    """So many results of each cell that isn't unmeasured, a day apart. `changes` are keys of each result."""
    missing = {one["id"] for one in unmeasured}
    (directory / "hosts").mkdir(parents=True)
    (directory / "plan.json").write_text(json.dumps({"cells": list(planned), "unmeasured": list(unmeasured)}))
    for name in {name for cell in planned for name in (cell["tester"], cell["dut"])}:
        (directory / "hosts" / f"{name}.json").write_text(json.dumps(host(versions(runs - 1))))
    for cell in planned:
        for run in range(runs if cell["id"] not in missing else 0):
            begun = BEGIN + timedelta(days=run)
            at = directory / "cells" / cell["id"] / begun.strftime("%Y%m%dT%H%M%S.%fZ")
            at.mkdir(parents=True)
            about = {**cell, "hosts": {name: host(versions(run)) for name in (cell["tester"], cell["dut"])}}
            (at / "cell.json").write_text(json.dumps(about))
            found = _result(cell, begun, figure(cell, run), **changes)
            (at / "result.json").write_text(found)


def _result(cell: Cell, begun: datetime, per_s: float, **changes: Any) -> str:
    rate = Rate(
        intended_per_s=results.MAX_LOAD_PER_S,
        received_per_s=(per_s, per_s),
        mean_per_s=per_s,
        stdev_per_s=0.0,
        verdict="dut_limited",
    )
    sizes = cell["sizes"]
    profile = results.profile(sizes, float(sizes) if sizes.isdigit() else 353.0)
    values = {"test": "mrr", "mrr": rate, "profile": profile, "started": begun.isoformat(), **changes}
    return results.result(**values).model_dump_json()

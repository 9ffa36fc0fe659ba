# SPDX-License-Identifier: Apache-2.0
"""The results of a lab on the control host: where they lie, and which of them count.

plan.json                       the cells of the last `bench.yml`, and why some were not measured
hosts/HOST.json                 facts, version and fingerprint of each host
cells/ID/RUN/result.json        what `ttfwd bench` wrote, with trials.jsonl beside it
cells/ID/RUN/cell.json          which cell it is of, of which hosts, and its key
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .matrix import Cell


def runs(results: Path, cell_id: str) -> list[Path]:
    """The directories of a cell's results, the oldest first: they are named by time."""
    directory = results / "cells" / cell_id
    return sorted(path for path in directory.iterdir() if path.is_dir()) if directory.is_dir() else []


def is_done(results: Path, cell: Cell) -> bool:
    """Whether the cell has a valid result with the same key."""
    return any(_against(run, cell) == "" for run in runs(results, cell["id"]))


def why_not_done(results: Path, cell: Cell) -> str | None:
    """What stands against the latest result with the same key; None if there is none."""
    against = (_against(run, cell) for run in reversed(runs(results, cell["id"])))
    return next((reason for reason in against if reason is not None), None)


def _against(run: Path, cell: Cell) -> str | None:
    """Why a result doesn't count; empty if it does, None if it is no result with the cell's key.

    A result counts that is whole, and publishable where noise isn't allowed.
    """
    about, result = _read(run / "cell.json"), _read(run / "result.json")
    if about.get("key") != cell["key"] or not result:
        return None
    why = "; ".join(result.get("why_not", ()))
    if not result.get("complete"):
        return f"interrupted: {why}"
    if not (result.get("publishable") or cell["allow_noise"]):
        return f"not publishable: {why}"
    return ""


def _read(path: Path) -> Mapping[str, Any]:
    """A JSON object; empty where there is none, as after a run that was interrupted."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}

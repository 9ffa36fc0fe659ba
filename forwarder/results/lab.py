# SPDX-License-Identifier: Apache-2.0
"""The results of a lab, as the collection ttfwd.lab keeps them: a matrix of cells, measured over time.

    plan.json                    the cells of the matrix, and why some have no valid result
    hosts/HOST.json              what each host is
    cells/ID/RUN/result.json     a result of a cell, as bench wrote it
    cells/ID/RUN/cell.json       the cell, and which hosts it was measured on

docs/lab.md explains each key. A run without result.json or cell.json was interrupted, and doesn't count.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from forwarder.errors import ResultError
from forwarder.results.load import RESULT_FILE, load_result, parse, read
from forwarder.results.model import Result, Test

PLAN_FILE, CELL_FILE = "plan.json", "cell.json"


class _Record(BaseModel):
    """The collection may write more than is read here."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class CellHost(_Record):
    """Of a host, what a result depends on."""

    version: dict[str, Any] | None = None  # as `ttfwd version --json` prints it
    fingerprint: str | None = None
    kernel: str | None = None

    @property
    def shown_version(self) -> str:
        return f"{self.version.get('ttfwd')}, {self.version.get('built_from')}" if self.version else "none"


class Cell(_Record):
    """A combination of the matrix, on one way through a device under test."""

    id: str
    test: Test
    tester: str
    dut: str
    driver: str
    queues: int
    flows: int
    sizes: str
    cables: tuple[str, ...] = ()
    dut_interfaces: tuple[str, ...] = ()
    hosts: dict[str, CellHost] = {}


class Unmeasured(_Record):
    id: str
    reason: str


class Plan(_Record):
    cells: tuple[Cell, ...]
    unmeasured: tuple[Unmeasured, ...] = ()


class LabHost(CellHost):
    """hosts/HOST.json."""

    cpus: tuple[int, ...] = ()
    findings: tuple[dict[str, Any], ...] = ()  # of `ttfwd doctor`


@dataclass(frozen=True, slots=True)
class Run:
    """One result of a cell."""

    cell: Cell
    path: Path
    result: Result


@dataclass(frozen=True, slots=True)
class Lab:
    path: Path
    plan: Plan
    hosts: dict[str, LabHost]

    def runs(self, cell: Cell) -> Iterator[Run]:
        """The cell's results, the oldest first. Raises ResultError."""
        for path in sorted(self.path.glob(f"cells/{cell.id}/*/{RESULT_FILE}")):
            about = cell_of(path)
            if about is not None:
                yield Run(about, path.parent, load_result(path))


def cell_of(result: Path) -> Cell | None:
    """The cell that result.json is of; None if it is no result of a lab. Raises ResultError."""
    about = result.with_name(CELL_FILE)
    return parse(Cell, read(about), str(about)) if about.exists() else None


def load_lab(path: Path) -> Lab:
    """Raises ResultError."""
    if not (path / PLAN_FILE).exists():
        raise ResultError(f"{path}: has no {PLAN_FILE}: not the results of a lab (docs/lab.md)")
    plan = parse(Plan, read(path / PLAN_FILE), str(path / PLAN_FILE))
    hosts = {file.stem: parse(LabHost, read(file), str(file)) for file in sorted(path.glob("hosts/*.json"))}
    return Lab(path, plan, hosts)

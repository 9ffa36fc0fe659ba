# SPDX-License-Identifier: Apache-2.0
"""The figures of a lab's cells over time, without the results they are from: a lab may have thousands."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from forwarder.report.measures import Measure, Unit, measures, show
from forwarder.results.lab import Cell, CellHost, Lab, Run
from forwarder.results.load import StoredResult


@dataclass(frozen=True, slots=True)
class CellRun:
    """A result, and what else may have changed since the one before."""

    path: Path
    started: str
    publishable: bool
    why_not: tuple[str, ...]
    hosts: dict[str, CellHost]

    @property
    def day(self) -> str:
        return self.started[:16].replace("T", " ")


@dataclass(frozen=True, slots=True)
class Point:
    """A figure of one result."""

    run: CellRun
    value: float


@dataclass(frozen=True, slots=True)
class Series:
    """One figure of a cell, the oldest first."""

    title: str
    unit: Unit
    higher_is_better: bool
    points: tuple[Point, ...]
    caveat: str | None  # of the latest

    @property
    def latest(self) -> str:
        return show(self.points[-1].value, self.unit)


@dataclass(frozen=True, slots=True)
class CellSeries:
    """A cell with its results. `main` is the figure that the matrix shows."""

    cell: Cell
    runs: tuple[CellRun, ...]
    series: tuple[Series, ...]
    reason: str | None  # why it has no valid result

    @property
    def main(self) -> Series | None:
        return next(iter(self.series), None)


def cell_series(lab: Lab) -> tuple[CellSeries, ...]:
    """Of every cell, in the order of the plan. Raises ResultError."""
    reasons = {one.id: one.reason for one in lab.plan.unmeasured}
    return tuple(_of_cell(cell, lab, reasons.get(cell.id)) for cell in lab.plan.cells)


def _of_cell(cell: Cell, lab: Lab, reason: str | None) -> CellSeries:
    """What was interrupted has figures that are no limits: they are left out."""
    runs: list[CellRun] = []
    latest: dict[str, Measure] = {}
    points: dict[str, list[Point]] = {}
    for run in lab.runs(cell):
        if not run.result.complete:
            continue
        about = _about(run)
        runs.append(about)
        for measure in measures(StoredResult(run.path, run.result, ())):
            if measure.value is not None and _is_trended(measure):
                latest[measure.key] = measure
                points.setdefault(measure.key, []).append(Point(about, measure.value))
    series = tuple(
        Series(one.title, one.unit, one.better == "higher", tuple(points[key]), one.caveat)
        for key, one in latest.items()
    )
    return CellSeries(cell, tuple(runs), series, reason)


def _about(run: Run) -> CellRun:
    result = run.result
    return CellRun(run.path, result.started, result.publishable, result.why_not, run.cell.hosts)


def _is_trended(measure: Measure) -> bool:
    """Loads of a loss curve differ from run to run. Response says what path does, and the tester's part."""
    return not measure.key.startswith("loss ") and " response " not in measure.key

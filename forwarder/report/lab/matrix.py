# SPDX-License-Identifier: Apache-2.0
"""The matrix of a lab: the latest figure of each cell, sizes beside each other."""

from __future__ import annotations

from collections.abc import Sequence

from forwarder.report import axis, figures
from forwarder.report.chart import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, Bar, Chart
from forwarder.report.document import Block, Cell, Paragraph, Section, Table, Toned
from forwarder.report.lab.series import CellSeries
from forwarder.report.sections.cells import EACH_WAY
from forwarder.stats.section import Column

MOST_BARS = 40  # more can't be told apart in one picture
_COLOURS = (BLUE, ORANGE, GREEN, PURPLE, RED, GREY)


def matrix(cells: Sequence[CellSeries]) -> Section:
    sizes = list(dict.fromkeys(one.cell.sizes for one in cells))
    rows: dict[tuple[str, ...], dict[str, Cell]] = {}
    for one in cells:
        cell = one.cell
        head = (cell.dut, cell.tester, cell.test, cell.driver, str(cell.queues), f"{cell.flows:,}")
        rows.setdefault(head, {})[cell.sizes] = _shown(one)
    columns = (
        Column("device under test", left=True),
        Column("tester", left=True, spare=1),
        Column("test", left=True, spare=2),
        Column("driver", left=True),
        Column("queues"),
        Column("flows"),
        *(Column(f"{size} bytes") for size in sizes),
    )
    table = Table(
        columns, tuple((*head, *(row.get(size, "") for size in sizes)) for head, row in rows.items())
    )
    named = dict.fromkeys(f"{one.cell.test}: {one.main.title}" for one in cells if one.main)
    blocks: list[Block] = [
        Paragraph(
            f"The latest result of each cell ({'; '.join(named) or 'none is measured'}). "
            "Sizes are without FCS. An asterisk: not publishable. Not valid: see the reasons above."
        ),
        table,
    ]
    chart = _chart(cells)
    return Section("Matrix", (*([chart] if chart else []), *blocks))


def _shown(one: CellSeries) -> Cell:
    if one.main is None:
        return Toned("missing", "bad")
    text = one.main.latest + ("" if one.runs[-1].publishable else " *")
    return Toned(f"{text} (not valid)", "bad") if one.reason else text


def _chart(cells: Sequence[CellSeries]) -> Chart | None:
    """Throughput of all cells; a colour for each driver."""
    measured = [(one, one.main) for one in cells if one.main is not None and one.main.unit == "frames/s"]
    if not 2 <= len(measured) <= MOST_BARS:
        return None
    drivers = list(dict.fromkeys(one.cell.driver for one, _ in measured))
    bars = [
        (_name(one, cells), main.points[-1].value, drivers.index(one.cell.driver)) for one, main in measured
    ]
    return Chart(
        "Throughput of all cells",
        "A bar for each cell, up to its latest figure. Each driver has a colour of its own.",
        axis.linear(EACH_WAY, 0, max(per_s for _, per_s, _ in bars), figures.round_rate),
        axis.rows([(row, name) for row, (name, _, _) in enumerate(bars)]),
        tuple(
            Bar(
                per_s,
                row,
                _COLOURS[colour % len(_COLOURS)],
                figures.rate(per_s),
                f"{name}: {figures.rate(per_s)}",
            )
            for row, (name, per_s, colour) in enumerate(bars)
        ),
        rows=len(bars),
    )


def _name(one: CellSeries, cells: Sequence[CellSeries]) -> str:
    """What tells the cell from the others."""
    varying = [
        key
        for key in ("dut", "tester", "queues", "flows")
        if len({getattr(it.cell, key) for it in cells}) > 1
    ]
    about = {"dut": one.cell.dut, "tester": one.cell.tester, "queues": f"{one.cell.queues}q"}
    about["flows"] = f"{one.cell.flows}f"
    return " ".join([one.cell.driver, f"{one.cell.sizes} B", *(about[key] for key in varying)])

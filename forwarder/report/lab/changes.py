# SPDX-License-Identifier: Apache-2.0
"""A lab over time: each jump of a figure, what else changed then, and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from forwarder.report import axis, figures
from forwarder.report.chart import BLUE, GREEN, GREY, RED, Chart, Line, Mark, Marks
from forwarder.report.document import Block, Cell, Paragraph, Section, Table, Toned
from forwarder.report.lab.jumps import Group, Jump, groups, jumps
from forwarder.report.lab.series import CellRun, CellSeries, Series
from forwarder.report.measures import show
from forwarder.stats.section import Column

MOST_CHARTS = 24  # those with a jump come first
_COLOURS = {"result": BLUE, "regression": RED, "progress": GREEN}


@dataclass(frozen=True, slots=True)
class Trend:
    """A figure of a cell over time, divided into groups."""

    cell: CellSeries
    series: Series
    groups: tuple[Group, ...]
    jumps: tuple[Jump, ...]


def trends(cells: Sequence[CellSeries]) -> tuple[Trend, ...]:
    """Of every figure with two results or more. Those that jumped last come first. Raises TtfwdError."""
    found = []
    for cell in cells:
        for series in cell.series:
            if len(series.points) > 1:
                divided = groups(series)
                found.append(Trend(cell, series, divided, jumps(series, divided)))
    return tuple(sorted(found, key=_last_jump, reverse=True))


def _last_jump(trend: Trend) -> str:
    return trend.jumps[-1].after.points[0].run.started if trend.jumps else ""


def regressions(found: Sequence[Trend]) -> list[str]:
    """In words, those that the latest results are in."""
    return [
        f"{trend.cell.cell.id}: {trend.series.title}: {_words(trend, trend.jumps[-1])}"
        for trend in found
        if trend.jumps and trend.jumps[-1].is_regression
    ]


def _words(trend: Trend, jump: Jump) -> str:
    before, after = (show(group.average, trend.series.unit) for group in (jump.before, jump.after))
    return f"{before} to {after} ({figures.change(jump.change_ratio)}) since {jump.after.points[0].run.day}"


def changes(found: Sequence[Trend]) -> Section:
    if not found:
        text = "Each cell has one result. Measured again, its figures are compared here."
        return Section("Over time", (Paragraph(text),))
    rows = [_row(trend, jump) for trend in found for jump in reversed(trend.jumps)]
    blocks: list[Block] = [
        Paragraph(
            f"{len(found)} figures were measured twice or more. jumpavg, of FD.io CSIT's trending, "
            "divides the results of each into groups with an average of their own. "
            "Where a group begins, the figure jumped."
        )
    ]
    if rows:
        blocks.append(Table(_COLUMNS, tuple(rows), "Jumps"))
    else:
        blocks.append(Paragraph("No figure jumped.", "good"))
    drawn = found[:MOST_CHARTS]
    blocks += [_chart(trend) for trend in drawn]
    if len(found) > len(drawn):
        blocks.append(
            Paragraph(f"{len(found) - len(drawn)} more figures have no picture here; the table has all.")
        )
    blocks.append(_table(found))
    return Section("Over time", tuple(blocks))


_COLUMNS = (
    Column("cell", left=True),
    Column("figure", left=True),
    Column("since"),
    Column("before"),
    Column("after"),
    Column("change"),
    Column("results", spare=2),
    Column("what else changed", left=True, spare=1),
)


def _row(trend: Trend, jump: Jump) -> tuple[Cell, ...]:
    unit = trend.series.unit
    first = jump.after.points[0].run
    change = figures.change(jump.change_ratio)
    return (
        trend.cell.cell.id,
        trend.series.title,
        first.day,
        show(jump.before.average, unit),
        show(jump.after.average, unit),
        Toned(f"{change}, regression", "bad") if jump.is_regression else Toned(f"{change}, progress", "good"),
        f"{len(jump.before.points)}, {len(jump.after.points)}",
        "; ".join(what_changed(jump.before.points[-1].run, first)) or "nothing that is known",
    )


def what_changed(before: CellRun, after: CellRun) -> list[str]:
    """Of the hosts, between two results."""
    found = []
    for name, now in after.hosts.items():
        then = before.hosts.get(name)
        if then is None:
            continue
        if then.version != now.version:
            found.append(f"{name}: ttfwd {then.shown_version} to {now.shown_version}")
        if then.kernel != now.kernel:
            found.append(f"{name}: kernel {then.kernel} to {now.kernel}")
        elif then.fingerprint != now.fingerprint:
            found.append(f"{name}: its fingerprint")
    return found


def _chart(trend: Trend) -> Chart:
    """Results in their order: dots, in the colour of what brought them there, and a line at each average."""
    series = trend.series
    values = [point.value for point in series.points]
    average: list[tuple[float, float]] = []
    kinds: dict[str, list[Mark]] = {}
    for at, group in enumerate(trend.groups):
        last = group.first + len(group.points) - 1
        average += [(group.first - 0.3, group.average), (last + 0.3, group.average)]
        kind = ("regression" if trend.jumps[at - 1].is_regression else "progress") if at else "result"
        kinds.setdefault(kind, []).extend(
            Mark(group.first + place, point.value, f"{point.run.day}: {show(point.value, series.unit)}")
            for place, point in enumerate(group.points)
        )
    marks = (
        Marks(kind, _COLOURS[kind], tuple(each), "cross" if kind == "regression" else "dot")
        for kind, each in kinds.items()
    )
    return Chart(
        f"{trend.cell.cell.id}: {series.title}",
        f"Each result, the oldest on the left; the latest is {series.latest}. {_said(trend)}",
        axis.Axis(
            "results in the order of time",
            lambda value: (value + 0.5) / len(values),
            tuple(_days(series)),
        ),
        axis.linear("", 0, max([*values, 0.0]), lambda value: show(value, series.unit)),
        (Line("average of the group", GREY, tuple(average)), *marks),
    )


def _days(series: Series) -> list[tuple[float, str]]:
    """Ticks where a day begins."""
    days = [point.run.day[:10] for point in series.points]
    return [(at, day) for at, day in enumerate(days) if at == 0 or day != days[at - 1]]


def _said(trend: Trend) -> str:
    return f"{_words(trend, trend.jumps[-1])}." if trend.jumps else "It didn't jump."


def _table(found: Sequence[Trend]) -> Table:
    columns = (
        Column("cell", left=True),
        Column("figure", left=True),
        Column("results"),
        Column("first"),
        Column("lowest"),
        Column("highest"),
        Column("latest"),
        Column("jumps"),
    )
    rows = []
    for trend in found:
        values = [point.value for point in trend.series.points]
        shown = (
            show(value, trend.series.unit) for value in (values[0], min(values), max(values), values[-1])
        )
        rows.append((trend.cell.cell.id, trend.series.title, str(len(values)), *shown, str(len(trend.jumps))))
    return Table(columns, tuple(rows), "Every figure over time", folded=True)

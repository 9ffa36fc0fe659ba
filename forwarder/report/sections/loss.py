# SPDX-License-Identifier: Apache-2.0
"""How much is lost at each load: of a test that asked for it, or of the trials of the searches."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from forwarder.report import axis, figures
from forwarder.report.chart import BLUE, Chart, Line, Mark, Marks
from forwarder.report.document import Section, Table, Toned
from forwarder.results.load import StoredResult
from forwarder.results.model import LossPoint, Trial
from forwarder.stats.section import Column


def loss(stored: StoredResult) -> Section | None:
    """The loss curve; without one, what the searches' trials say of it."""
    curve = stored.result.loss_curve
    points = curve or _searched_loads(stored.trials)
    chart = _chart(points)
    if chart is None:
        return None
    columns = (
        Column("offered"),
        Column("sent", spare=1),
        Column("received"),
        Column("lost"),
        Column("trials", spare=2),
    )
    rows = tuple(
        (
            figures.rate(point.intended_per_s),
            figures.rate(point.sent_per_s),
            figures.rate(point.received_per_s),
            Toned(figures.ratio(point.loss_ratio), "warn" if point.loss_ratio else "good"),
            str(point.trials),
        )
        for point in points
    )
    table = Table(columns, rows) if curve else Table(columns, rows, "Each load of the searches", folded=True)
    return Section("Loss at each load", (chart, table))


def _searched_loads(trials: Iterable[Trial]) -> tuple[LossPoint, ...]:
    """What the searches' trials say of each load that they tried, from the highest down."""
    by_load: dict[float, list[Trial]] = {}
    for trial in trials:
        if trial.purpose == "search" and not trial.void:
            by_load.setdefault(trial.intended_per_s, []).append(trial)
    return tuple(_point(load, by_load[load]) for load in sorted(by_load, reverse=True))


def _point(load_per_s: float, trials: Sequence[Trial]) -> LossPoint:
    ways = [way for trial in trials for way in trial.ways]
    seconds = sum(trial.duration_s * len(trial.ways) for trial in trials) or 1.0
    received, intended = sum(way.received for way in ways), sum(way.intended for way in ways)
    return LossPoint(
        intended_per_s=load_per_s,
        sent_per_s=sum(way.sent for way in ways) / seconds,
        received_per_s=received / seconds,
        loss_ratio=1 - received / intended if intended else 0.0,
        trials=len(trials),
    )


def _chart(points: Sequence[LossPoint]) -> Chart | None:
    """Loss at each load."""
    if not points:
        return None
    line = sorted((point.intended_per_s, max(point.loss_ratio, 0.0)) for point in points)
    marks = tuple(Mark(x, y, f"{figures.rate(x)}: {figures.ratio(y)} lost") for x, y in line)
    return Chart(
        "Loss at each load",
        "How much was lost at which load. The lane at the bottom is for loads that lost nothing.",
        axis.loads("offered frames a second", [x for x, _ in line], figures.round_rate),
        axis.logarithmic("lost", [*(y for _, y in line), 1.0], figures.ratio, zero="0 %"),
        (Line("loss", BLUE, tuple(line)), Marks("loads", BLUE, marks)),
    )

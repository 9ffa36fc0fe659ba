# SPDX-License-Identifier: Apache-2.0
"""What is received at the highest load."""

from __future__ import annotations

from forwarder.report import axis, figures, words
from forwarder.report.chart import BLUE, ORANGE, Chart, Line, Mark, Marks
from forwarder.report.document import Cell, Paragraph, Section, Table
from forwarder.results.model import Rate, Result, Selftest
from forwarder.stats.section import Column


def mrr(result: Result) -> Section | None:
    rate = result.mrr
    if rate is None:
        return None
    columns = (Column("trial"), Column("received"), Column("bits/s"))
    rows: list[tuple[Cell, ...]] = [
        (str(number), figures.rate(per_s), figures.bits(per_s, result.profile.mean_frame_bytes))
        for number, per_s in enumerate(rate.received_per_s, 1)
    ]
    spread = f", standard deviation {figures.rate(rate.stdev_per_s)}" if rate.stdev_per_s is not None else ""
    told = f"Offered {figures.rate(rate.intended_per_s)}; mean {figures.rate(rate.mean_per_s)}{spread}. "
    meaning = words.VERDICTS[rate.verdict][0]
    return Section(
        "Received at the highest load (MRR)",
        (
            _chart(rate, result.tester.selftest),
            Paragraph(f"{told}{meaning[0].upper()}{meaning[1:]}."),
            Table(columns, tuple(rows)),
        ),
    )


def _chart(rate: Rate, selftest: Selftest | None) -> Chart:
    """The trials of MRR on one line."""
    marks = tuple(
        Mark(number, per_s, f"trial {number}: {figures.rate(per_s)}")
        for number, per_s in enumerate(rate.received_per_s, 1)
    )
    ceiling = max(
        rate.intended_per_s, selftest.max_load_per_s if selftest else 0.0, *rate.received_per_s, 1.0
    )
    count = max(len(marks), 2)
    return Chart(
        "Received at the highest load",
        "A dot for each trial that counts; the line is their mean.",
        axis.linear("trial", 1, count, lambda number: f"{number:.0f}", min(count - 1, 10)),
        axis.linear("frames a second", 0, ceiling, figures.round_rate),
        (
            Line("mean", ORANGE, ((1, rate.mean_per_s), (count, rate.mean_per_s)), "dashed"),
            Marks("trials", BLUE, marks),
        ),
    )

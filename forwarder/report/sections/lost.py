# SPDX-License-Identifier: Apache-2.0
"""Where the lost frames went."""

from __future__ import annotations

from forwarder.report import axis, figures
from forwarder.report.chart import ORANGE, RED, Bar, Chart
from forwarder.report.document import Cell, Paragraph, Section, Table, Toned
from forwarder.results.model import Lost, Result
from forwarder.stats.section import Column


def lost(result: Result) -> Section:
    """Where each lost frame went. That nothing was lost is worth saying, too."""
    places = _places(result.lost)
    if not places:
        text = "No frame was lost in the trials that count."
        return Section("Where the lost frames went", (Paragraph(text, "good"),))
    total = result.lost.total
    columns = (
        Column("place", left=True),
        Column("frames"),
        Column("share"),
        Column("meaning", left=True, spare=1),
    )
    rows: list[tuple[Cell, ...]] = [
        (
            Toned(place, "bad") if place == "unexplained" else place,
            f"{frames:,}",
            figures.ratio(frames / total),
            meaning,
        )
        for place, frames, meaning in places
    ]
    rows.append(("all", f"{total:,}", "", ""))
    explained = not result.lost.unexplained
    text = (
        "Every lost frame is in one place: the books of generator, DUT and devices agree."
        if explained
        else "The books of generator, DUT and devices do not agree: some losses have no place."
    )
    chart = _chart(result.lost)
    return Section(
        "Where the lost frames went",
        (
            *([chart] if chart else []),
            Table(columns, tuple(rows)),
            Paragraph(
                f"All trials that count, searches above the limit among them. {text}",
                None if explained else "bad",
            ),
        ),
    )


def _places(lost: Lost) -> tuple[tuple[str, int, str], ...]:
    """Where frames were lost, along their way: place, frames, meaning. Places without loss are left out."""
    places = [
        (
            "before the DUT",
            lost.before_dut,
            "refused by the tester's device, or dropped before the DUT took it in",
        ),
        *((f"DUT: {reason}", frames, "dropped by the DUT") for reason, frames in lost.dut.items()),
        ("after the DUT", lost.after_dut, "sent by the DUT, and dropped by the device to the receiver"),
        ("receiver", lost.receiver, "seen by the receiver's device, and not by the receiver"),
        ("unexplained", lost.unexplained, "no counter knows where"),
    ]
    return tuple(place for place in places if place[1])


def _chart(lost: Lost) -> Chart | None:
    """A row for each place where frames were lost."""
    places = _places(lost)
    if not places:
        return None
    bars = tuple(
        Bar(
            frames,
            row,
            RED if place == "unexplained" else ORANGE,
            f"{frames:,}",
            f"{place}: {frames:,} frames",
        )
        for row, (place, frames, _) in enumerate(places)
    )
    return Chart(
        "Where frames were lost",
        "A bar for each place between generator and receiver, in the order of the way.",
        axis.linear("frames", 0, max(frames for _, frames, _ in places), lambda frames: f"{frames:,.0f}", 4),
        axis.rows([(row, place) for row, (place, _, _) in enumerate(places)]),
        bars,
        rows=len(places),
    )

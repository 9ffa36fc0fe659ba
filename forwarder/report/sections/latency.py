# SPDX-License-Identifier: Apache-2.0
"""How long frames take at each load, and how that varies."""

from __future__ import annotations

from collections.abc import Sequence

from forwarder.report import figures, words
from forwarder.report.chart import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, Chart, Line
from forwarder.report.document import Cell, Paragraph, Section, Table
from forwarder.report.percentiles import curve, percentile_chart
from forwarder.report.sections.cells import QUANTILES, alarming, quantiles
from forwarder.results.model import Latency, Result, Selftest
from forwarder.stats.section import Column

_CURVES = (GREEN, BLUE, PURPLE, ORANGE, RED)  # in the order of loads


def latency(result: Result, base: Sequence[Latency]) -> Section | None:
    if not result.latency:
        return None
    columns = (
        Column("load", left=True),
        Column("offered"),
        Column("direction", left=True, spare=6),
        Column("frames", spare=5),
        *QUANTILES,
    )
    paths: list[tuple[Cell, ...]] = [
        (*_load(one), f"{one.path.samples:,}", *quantiles(one.path)) for one in result.latency
    ]
    selftest = result.tester.selftest
    if selftest is not None:
        samples = f"{selftest.path.samples:,}"
        paths.append(("(the tester alone)", "", "", samples, *quantiles(selftest.path)))
    responses = tuple(
        (*_load(one), f"{one.response.samples:,}", *quantiles(one.response)) for one in result.latency
    )
    lateness = tuple(
        (*_load(one), f"{one.lateness.samples:,}", *quantiles(one.lateness)) for one in result.latency
    )
    chart = _chart(result.latency, result.tester.selftest, base)
    return Section(
        "Latency",
        (
            *([chart] if chart else []),
            Table(columns, tuple(paths), "Path, from the stamp in the frame to the receiver's"),
            Paragraph(
                "Nothing is subtracted: the row of the tester alone says how much of it is the tester's own. "
                f'"{figures.NONE}" stands where so few frames can\'t tell the percentile.'
            ),
            Table(columns, responses, "Response, from when the frame was due to the receiver's stamp", True),
            Table(
                columns, lateness, "Lateness of the generator, from when the frame was due to its stamp", True
            ),
            _variation(result.latency),
        ),
    )


def _variation(found: Sequence[Latency]) -> Table:
    columns = (
        Column("load", left=True),
        Column("offered"),
        Column("direction", left=True, spare=3),
        Column("PDV"),
        Column("IPDV median"),
        Column("IPDV max", spare=1),
        Column("RFC 3550 jitter", spare=2),
        Column("lost"),
        Column("duplicates"),
        Column("reordered"),
    )
    rows = tuple(
        (
            *_load(one),
            figures.time(one.pdv_ns),
            figures.time(one.ipdv.p50_ns if one.ipdv else None),
            figures.time(one.ipdv.max_ns if one.ipdv else None),
            figures.time(one.rfc3550_jitter_ns),
            alarming(one.lost),
            alarming(one.duplicates),
            alarming(one.reordered),
        )
        for one in found
    )
    return Table(columns, rows, "Variation, and what was lost at these loads")


def _load(one: Latency) -> tuple[str, str, str]:
    return words.load_title(one.load), figures.rate(one.intended_per_s), one.direction


def _chart(found: Sequence[Latency], selftest: Selftest | None, base: Sequence[Latency] = ()) -> Chart | None:
    """The percentiles of path at each load, and of the tester alone; with a base, its curves beside them."""
    curves = [(one, curve(one.path)) for one in found]
    curves = [(one, points) for one, points in curves if points]
    if not curves:
        return None
    two_ways = len({one.direction for one, _ in curves}) > 1
    loads = list(dict.fromkeys(one.load for one, _ in curves))
    drawings: list[Line] = []
    for one, points in curves:
        colour = _CURVES[loads.index(one.load) % len(_CURVES)]
        name = words.load_title(one.load) + (f", {one.direction}" if two_ways else "")
        drawings.append(Line(name, colour, points, "dashed" if one.direction == "backward" else "solid"))
        before = next((b for b in base if (b.load, b.direction) == (one.load, one.direction)), None)
        if before is not None and curve(before.path):
            drawings.append(Line(f"{name}, base", colour, curve(before.path), "dotted"))
    if selftest is not None and curve(selftest.path):
        drawings.append(Line("the tester alone", GREY, curve(selftest.path), "dashed"))
    return percentile_chart(
        "Latency: how long the slowest frames take",
        "A curve for each load. At 99 % stands the time that 99 of 100 frames kept. Both scales are "
        "logarithmic, so that the few slow frames on the right can be seen.",
        drawings,
        max(one.path.samples for one, _ in curves),
    )

# SPDX-License-Identifier: Apache-2.0
"""The tester alone: what it measures where there is no device, and how late it is."""

from __future__ import annotations

from forwarder.report.chart import BLUE, ORANGE, Chart, Line
from forwarder.report.document import Section, Table
from forwarder.report.percentiles import curve, percentile_chart
from forwarder.report.sections.cells import QUANTILES, quantiles
from forwarder.results.model import Result, Selftest
from forwarder.stats.section import Column


def selftest(result: Result) -> Section | None:
    """Of a self-test alone; beside a device's figures, the tester's own are rows and a curve of theirs."""
    found = result.tester.selftest
    if result.test != "selftest" or found is None:
        return None
    columns = (Column("", left=True), Column("frames", spare=5), *QUANTILES)
    rows = tuple(
        (name, f"{times.samples:,}", *quantiles(times))
        for name, times in (("path", found.path), ("lateness of the generator", found.lateness))
    )
    chart = _chart(found)
    return Section("The tester alone", (*([chart] if chart else []), Table(columns, rows)))


def _chart(found: Selftest) -> Chart | None:
    """What the tester measures, and how late it is, without a device."""
    kinds = (("path", BLUE, found.path), ("lateness", ORANGE, found.lateness))
    lines = [Line(name, colour, curve(times)) for name, colour, times in kinds if curve(times)]
    if not lines:
        return None
    return percentile_chart(
        "The tester alone",
        "Path: what it measures where there is no device. Lateness: how late its generator is. At 99 % "
        "stands the time that 99 of 100 frames kept.",
        lines,
        max(found.path.samples, found.lateness.samples),
    )

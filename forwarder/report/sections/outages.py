# SPDX-License-Identifier: Apache-2.0
"""What single events cost."""

from __future__ import annotations

from forwarder.report import figures
from forwarder.report.document import Paragraph, Section, Table
from forwarder.report.sections.cells import alarming
from forwarder.results.model import Result
from forwarder.stats.section import Column


def outages(result: Result) -> Section | None:
    if not result.outages:
        return None
    columns = (
        Column("event", left=True),
        Column("load"),
        Column("frames lost"),
        Column("blocked for"),
        Column("longest gap", spare=1),
    )
    rows = tuple(
        (
            one.event,
            figures.rate(one.load_per_s),
            alarming(one.lost),
            figures.seconds(one.blocked_s),
            figures.seconds(one.longest_gap_s),
        )
        for one in result.outages
    )
    text = "What single events cost. Blocked for: the lost frames, divided by the load."
    return Section("Outages", (Paragraph(text), Table(columns, rows)))

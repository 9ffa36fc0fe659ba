# SPDX-License-Identifier: Apache-2.0
"""The hosts of a lab, and the results of its cells one by one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from forwarder.report.document import Cell, Section, Table, Toned
from forwarder.report.lab.series import CellSeries
from forwarder.results.lab import Lab
from forwarder.stats.section import Column

_SHORT = 19  # of a fingerprint: enough to tell hosts apart


def hosts(lab: Lab) -> Section:
    columns = (
        Column("host", left=True),
        Column("kernel", left=True),
        Column("ttfwd", left=True),
        Column("fingerprint", left=True),
        Column("CPUs"),
        Column("findings of doctor", left=True),
    )
    rows = []
    for name, host in lab.hosts.items():
        levels = Counter(one.get("level", "?") for one in host.findings)
        found = ", ".join(f"{number} {level}" for level, number in sorted(levels.items()))
        rows.append(
            (
                name,
                host.kernel or "unknown",
                host.shown_version,
                (host.fingerprint or "unknown")[:_SHORT],
                str(len(host.cpus)),
                found or "none",
            )
        )
    return Section("Hosts", (Table(columns, tuple(rows)),))


def results(lab: Lab, cells: Sequence[CellSeries]) -> Section:
    columns = (
        Column("cell", left=True),
        Column("cables", left=True),
        Column("results"),
        Column("latest", left=True),
        Column("publishable", left=True),
        Column("why not, or why there is none", left=True),
    )
    rows: list[tuple[Cell, ...]] = []
    for one in cells:
        latest = one.runs[-1] if one.runs else None
        publishable = Toned("yes", "good") if latest and latest.publishable else Toned("no", "bad")
        why = one.reason or ("; ".join(latest.why_not) if latest else "never measured")
        path = str(latest.path.relative_to(lab.path)) if latest else ""
        rows.append((one.cell.id, ", ".join(one.cell.cables), str(len(one.runs)), path, publishable, why))
    return Section("Results", (Table(columns, tuple(rows), "Every cell", folded=True),))

# SPDX-License-Identifier: Apache-2.0
"""What several sections share: columns, and cells of tables."""

from __future__ import annotations

from forwarder.report import figures, words
from forwarder.report.document import Cell, Toned
from forwarder.results.model import Distribution, Verdict
from forwarder.stats.section import Column

PAIRS = (Column("", left=True), Column("", left=True))
EACH_WAY = "frames a second, in each direction"


QUANTILES = (
    Column("min", spare=3),
    Column("median"),
    Column("p90", spare=4),
    Column("p99"),
    Column("p99.9"),
    Column("p99.99", spare=2),
    Column("max", spare=1),
)


def verdict(found: Verdict | None) -> Cell:
    """A verdict in words; nothing where nothing was the limit."""
    return "" if found is None else Toned(found, words.VERDICTS[found][1])


def alarming(frames: int) -> Cell:
    return Toned(f"{frames:,}", "warn") if frames else "0"


def quantiles(times: Distribution) -> tuple[str, ...]:
    measured = (
        times.min_ns,
        times.p50_ns,
        times.p90_ns,
        times.p99_ns,
        times.p999_ns,
        times.p9999_ns,
        times.max_ns,
    )
    return tuple(figures.time(ns) for ns in measured)


def cpu_list(cpus: tuple[int, ...]) -> str:
    return ", ".join(map(str, cpus)) or figures.NONE

# SPDX-License-Identifier: Apache-2.0
"""Every trial: when it was, its load, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from forwarder.report import axis, figures
from forwarder.report.chart import BLUE, GREY, ORANGE, PURPLE, RED, Chart, Mark, Marks, Shape
from forwarder.report.document import Block, Paragraph, Section, Table, Toned
from forwarder.report.sections.cells import verdict
from forwarder.results.load import StoredResult
from forwarder.results.model import Trial
from forwarder.stats.section import Column


def trials(stored: StoredResult) -> Section:
    result = stored.result
    known = f"{result.trials_counted:,} trials count, {result.trials_void:,} were void."
    blocks: list[Block] = [Paragraph(known)]
    chart = _timeline(stored.trials)
    if chart is None:
        return Section("Trials", tuple(blocks))
    reasons: dict[str, int] = {}
    for trial in stored.trials:
        for reason in trial.void:
            reasons[reason] = reasons.get(reason, 0) + 1
    blocks.insert(0, chart)
    if reasons:
        listed = "; ".join(
            f"{reason} ({times} times)" if times > 1 else reason for reason, times in reasons.items()
        )
        blocks.append(Paragraph(f"Void because of: {listed}."))
    blocks.append(_table(stored.trials))
    return Section("Trials", tuple(blocks))


def _table(trials: tuple[Trial, ...]) -> Table:
    columns = (
        Column("trial"),
        Column("run", spare=5),
        Column("purpose", left=True, spare=2),
        Column("load"),
        Column("for", spare=4),
        Column("due", spare=6),
        Column("unsent", spare=3),
        Column("lost"),
        Column("loss"),
        Column("foreign CPU", spare=8),
        Column("steal", spare=7),
        Column("verdict", left=True),
        Column("void", left=True, spare=1),
    )
    rows = tuple(
        (
            str(trial.number),
            str(trial.run),
            trial.purpose,
            figures.rate(trial.intended_per_s),
            f"{trial.duration_s:g} s",
            f"{sum(way.intended for way in trial.ways):,}",
            f"{sum(way.unsent for way in trial.ways):,}",
            f"{sum(way.lost for way in trial.ways):,}",
            figures.ratio(trial.loss_ratio),
            figures.ratio(trial.disturbance.foreign_cpu_ratio),
            figures.ratio(trial.disturbance.steal_ratio),
            verdict(trial.verdict),
            Toned("; ".join(trial.void), "warn") if trial.void else "",
        )
        for trial in trials
    )
    return Table(columns, rows, "Every trial", folded=True)


def _timeline(trials: Sequence[Trial]) -> Chart | None:
    """Every trial when it was, with its load; shape and colour say what became of it.

    The self-test's are left out beside others: its loads are of another kind, and some no device ever gets.
    """
    trials = [trial for trial in trials if trial.purpose != "selftest"] or trials
    if not trials:
        return None
    begins = [datetime.fromisoformat(trial.started).timestamp() for trial in trials]
    first = min(begins)
    kinds: dict[str, tuple[int, Shape, list[Mark]]] = {
        "nothing lost": (BLUE, "dot", []),
        "frames lost": (ORANGE, "dot", []),
        "limited by generator or receiver": (PURPLE, "square", []),
        "noisy or inconclusive": (RED, "square", []),
        "void": (GREY, "cross", []),
    }
    for trial, begin in zip(trials, begins, strict=True):
        about = f"trial {trial.number} ({trial.purpose}): {figures.rate(trial.intended_per_s)}, "
        about += f"void: {', '.join(trial.void)}" if trial.void else f"{figures.ratio(trial.loss_ratio)} lost"
        about += f", {trial.verdict}" if trial.verdict else ""
        kinds[_kind(trial)][2].append(Mark(begin - first, trial.intended_per_s, about))
    return Chart(
        "Trials",
        "Every trial at the time when it began, and at its load. Crosses are void: the machine disturbed "
        "them, and they were repeated.",
        axis.linear("seconds since the first trial", 0, max(begins) - first, lambda s: f"{s:.0f} s"),
        axis.loads("frames a second", [trial.intended_per_s for trial in trials], figures.round_rate),
        tuple(Marks(name, colour, tuple(m), shape) for name, (colour, shape, m) in kinds.items() if m),
    )


def _kind(trial: Trial) -> str:
    if trial.void:
        return "void"
    if trial.verdict in ("generator_limited", "receiver_limited"):
        return "limited by generator or receiver"
    if trial.verdict in ("noisy", "inconclusive"):
        return "noisy or inconclusive"
    return "frames lost" if trial.loss_ratio > 0 else "nothing lost"

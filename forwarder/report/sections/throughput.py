# SPDX-License-Identifier: Apache-2.0
"""What the searches found: bounds of the throughput, for each goal and start of the DUT."""

from __future__ import annotations

from collections.abc import Sequence

from forwarder.report import axis, figures, words
from forwarder.report.chart import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    Bar,
    Chart,
    Drawing,
    Interval,
    Limit,
    Mark,
    Marks,
)
from forwarder.report.document import Block, Paragraph, Section, Table, Toned
from forwarder.report.sections.cells import EACH_WAY, verdict
from forwarder.results.model import Goal, GoalRun, Result, Selftest
from forwarder.stats.section import Column

_FAR = 4  # times the greatest figure: a limit so high isn't drawn


def throughput(result: Result) -> Section | None:
    if not result.goals:
        return None
    columns = (
        Column("goal", left=True),
        Column("run"),
        Column("lower bound"),
        Column("upper bound"),
        Column("conditional throughput", spare=2),
        Column("bits/s at lower bound", spare=3),
        Column("result", left=True),
        Column("limit", left=True),
        Column("why", left=True, spare=1),
    )
    rows = tuple(
        (
            words.goal_title(goal),
            str(run.run),
            figures.rate(run.lower_per_s),
            figures.rate(run.upper_per_s),
            figures.rate(run.conditional_per_s),
            figures.bits(run.lower_per_s, result.profile.mean_frame_bytes),
            _regular(run),
            verdict(run.verdict),
            run.why or "",
        )
        for goal in result.goals
        for run in goal.runs
    )
    blocks: list[Block] = []
    chart = _chart(result.goals, result.tester.selftest)
    blocks += [chart] if chart else []
    blocks.append(Table(columns, rows))
    for goal in result.goals:
        if goal.mean_per_s is None:
            continue
        spread = ""
        if goal.stdev_per_s is not None:
            part = figures.ratio(goal.stdev_per_s / goal.mean_per_s) if goal.mean_per_s else figures.NONE
            spread = f", standard deviation {figures.rate(goal.stdev_per_s)} ({part})"
        both = ""
        if goal.aggregate_factor > 1:
            total = figures.rate(goal.mean_per_s * goal.aggregate_factor)
            both = f"; both directions together {total} (times {goal.aggregate_factor})"
        title, mean = words.goal_title(goal), figures.rate(goal.mean_per_s)
        blocks.append(Paragraph(f"{title}: mean of the lower bounds {mean}{spread}{both}."))
    seen = {run.verdict for goal in result.goals for run in goal.runs}
    blocks += [Paragraph(f"{name}: {words.VERDICTS[name][0]}.") for name in sorted(seen)]
    return Section("Throughput", tuple(blocks))


def _regular(run: GoalRun) -> Toned:
    return Toned("regular", "good") if run.regular else Toned("IRREGULAR", "bad")


def _chart(goals: Sequence[Goal], selftest: Selftest | None) -> Chart | None:
    """A row for each search: its bounds, and what was forwarded at the lower one."""
    rows = [(goal, run) for goal in goals for run in goal.runs if run.lower_per_s is not None]
    if not rows:
        return None
    drawings: list[Drawing] = []
    ticks = []
    conditional = []
    highest = 0.0
    for place, (goal, run) in enumerate(rows):
        assert run.lower_per_s is not None
        single = len(goal.runs) == 1
        ticks.append((place, words.goal_title(goal) + ("" if single else f", run {run.run}")))
        told = f"{words.goal_title(goal)} run {run.run}: {figures.rate(run.lower_per_s)} to "
        told += figures.rate(run.upper_per_s) if run.upper_per_s is not None else "unknown"
        told += "" if run.regular else ", irregular"
        drawings.append(
            Bar(run.lower_per_s, place, BLUE if run.regular else GREY, figures.rate(run.lower_per_s), told)
        )
        drawings.append(Interval(run.lower_per_s, run.upper_per_s, place, ORANGE, told))
        if run.conditional_per_s is not None:
            about = f"conditional throughput {figures.rate(run.conditional_per_s)}"
            conditional.append(Mark(run.conditional_per_s, place, about))
        highest = max(highest, run.lower_per_s, run.upper_per_s or 0.0)
    drawings.append(Marks("conditional throughput", GREEN, tuple(conditional), "square"))
    about = (
        "A bar for each search, up to its lower bound. The bracket at its end reaches to the upper bound. "
    )
    about += "Grey bars are irregular: no confirmed limit."
    if selftest is not None:
        limit = selftest.max_load_per_s
        if limit < _FAR * highest:
            drawings.append(Limit("the tester's maximum", limit))
            highest = max(highest, limit)
        else:
            about += f" The tester's maximum, {figures.rate(limit)}, is far to the right."
    return Chart(
        "Throughput with its bounds",
        about,
        axis.linear(EACH_WAY, 0, highest, figures.round_rate),
        axis.rows(ticks),
        tuple(drawings),
        rows=len(rows),
    )

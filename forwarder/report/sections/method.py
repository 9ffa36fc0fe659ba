# SPDX-License-Identifier: Apache-2.0
"""How a result was measured: traffic, tester, goals, limits, deviations from the standards."""

from __future__ import annotations

from collections.abc import Sequence

from forwarder.report import figures, words
from forwarder.report.document import Cell, Paragraph, Section, Table, Toned
from forwarder.report.sections.cells import PAIRS, cpu_list
from forwarder.results.load import StoredResult
from forwarder.results.model import Result, Trial
from forwarder.stats.section import Column


def method(stored: StoredResult) -> Section:
    result = stored.result
    tester, profile = result.tester, result.profile
    with_fcs = f"{profile.mean_frame_bytes_with_fcs:g} with FCS"
    rows: list[tuple[Cell, ...]] = [
        ("command", " ".join(result.command)),
        ("test", f"{result.test}: {words.TESTS[result.test]}"),
        ("began, ended", f"{result.started}, {result.ended}"),
        ("run id", result.run_id),
        ("traffic", words.traffic(profile)),
        ("mean frame", f"{profile.mean_frame_bytes:g} bytes without FCS, {with_fcs}"),
        ("genome (RFC 6985)", profile.genome or figures.NONE),
        ("order of flows, seed", f"{profile.flow_order}, {profile.seed}"),
        ("destinations", ", ".join(profile.dst_macs) or "addresses that no device has"),
        ("generator", f"{tester.generator} on CPU {cpu_list(tester.generator_cpus)}"),
        (
            "receiver",
            f"{tester.receiver}, {_receiver_place(tester.receiver_cpus)}; stamps by the {tester.timestamps}",
        ),
        (
            "CPUs shared with the DUT",
            Toned("yes: both are slower for it", "bad") if tester.cpus_shared else "no",
        ),
        *_together(stored.trials),
        *_limits(result),
    ]
    deviations = tuple((deviation,) for deviation in result.deviations) or (("none",),)
    return Section(
        "How it was measured",
        (
            *([_goals(result)] if result.goals else []),
            Paragraph(
                "Loads and rates are of one direction, at one interface; with both directions, the whole "
                "device's are twice that. A frame that was due and not sent counts as lost. The width of a "
                "goal is the distance of its bounds, divided by the upper one. A trial's effective duration "
                "is that of sending. (RFC 9971)"
            ),
            Table(PAIRS, tuple(rows)),
            Table((Column("Deviations from the standards", left=True),), deviations),
        ),
    )


def _together(trials: Sequence[Trial]) -> list[tuple[Cell, ...]]:
    """Said where it takes from the exactness of path."""
    most = max((way.batch for trial in trials for way in trial.ways), default=1)
    if most == 1:
        return []
    told = f"up to {most} at high loads: there, path is uncertain by {figures.time((most - 1) * 100)}"
    return [("frames handed over together", told)]


def _goals(result: Result) -> Table:
    columns = (
        Column("goal", left=True),
        Column("loss ratio"),
        Column("exceed ratio"),
        Column("duration sum"),
        Column("first trial", spare=1),
        Column("final trial"),
        Column("width"),
    )
    rows = tuple(
        (
            words.goal_title(goal),
            figures.ratio(goal.loss_ratio),
            figures.ratio(goal.exceed_ratio),
            f"{goal.duration_sum_s:g} s",
            figures.NONE if goal.initial_trial_s is None else f"{goal.initial_trial_s:g} s",
            f"{goal.final_trial_s:g} s",
            figures.ratio(goal.width),
        )
        for goal in result.goals
    )
    return Table(columns, rows, "Goals (RFC 9971)")


def _limits(result: Result) -> list[tuple[Cell, ...]]:
    selftest = result.tester.selftest
    if selftest is None:
        return [("self-test", Toned("none: the tester's own limit isn't known", "bad"))]
    late = figures.time(selftest.limit_lateness_p999_ns)
    return [
        (
            "self-test's maximum",
            f"{figures.rate(selftest.max_load_per_s)} of {selftest.max_load_sizes} bytes",
        ),
        (
            "self-test's path",
            f"median {figures.time(selftest.path.p50_ns)}, p99 {figures.time(selftest.path.p99_ns)}",
        ),
        (
            "a trial is void beyond",
            f"lateness p99.9 {late}, foreign CPU {figures.ratio(selftest.limit_foreign_cpu_ratio)}, "
            f"steal {figures.ratio(selftest.limit_steal_ratio)}, "
            f"{selftest.limit_preemptions_per_s:g} preemptions/s, "
            f"stalls of {figures.ratio(selftest.limit_unsent_ratio)} of the frames",
        ),
    ]


def _receiver_place(cpus: tuple[int, ...]) -> str:
    return f"on CPU {cpu_list(cpus)}" if cpus else "in the kernel, on the CPU that delivers"

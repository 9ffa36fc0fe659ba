# SPDX-License-Identifier: Apache-2.0
"""What was found, in sentences for someone who has never seen such a measurement."""

from __future__ import annotations

from forwarder.report import figures, words
from forwarder.results.model import Result


def summary(result: Result) -> str:
    said = [*_throughput(result), *_latency(result), *_other(result)]
    if not said:
        return f"This run holds no figures yet. Its test is {result.test}: {words.TESTS[result.test]}."
    return " ".join(said)


def _throughput(result: Result) -> list[str]:
    said = []
    for goal in result.goals:
        runs = [run for run in goal.runs if run.lower_per_s is not None]
        runs = [run for run in runs if run.regular] or runs  # whose mean it is
        if goal.mean_per_s is None or not runs:
            said.append(f"No load met {words.goal_title(goal)} ({words.goal_meaning(goal)}).")
            continue
        each = " in each direction" if goal.aggregate_factor > 1 else ""
        text = f"With {words.goal_meaning(goal)} it forwarded {figures.rate(goal.mean_per_s)}{each}"
        text += f" ({words.goal_title(goal)}"
        text += f", mean of {len(runs)} runs" if len(runs) > 1 else ""
        if not all(run.regular for run in goal.runs):
            text += ", irregular: not a confirmed limit"
        said.append(text + ").")
    if result.mrr is not None:
        offered = figures.rate(result.mrr.intended_per_s)
        said.append(f"Offered {offered}, it forwarded {figures.rate(result.mrr.mean_per_s)} (MRR).")
    return said


def _latency(result: Result) -> list[str]:
    """Of the load in the middle: it is the one that a user's own traffic is likeliest to be like."""
    known = [one for one in result.latency if one.path.p50_ns is not None]
    if not known:
        return []
    one = next((one for one in known if one.load.endswith("_50")), known[len(known) // 2])
    text = f"At {words.load_title(one.load)}, half of the frames took {figures.time(one.path.p50_ns)} or less"
    if one.path.p99_ns is not None:
        text += f", and 99 of 100 took {figures.time(one.path.p99_ns)} or less"
    return [text + "."]


def _other(result: Result) -> list[str]:
    said = []
    if result.loss_curve:
        clean = [point.intended_per_s for point in result.loss_curve if point.loss_ratio == 0]
        highest = (
            f"The highest load without loss was {figures.rate(max(clean))}."
            if clean
            else "Every load lost frames."
        )
        said.append(highest)
    if result.burst is not None:
        said.append(f"Bursts of {result.burst.mean_frames:,.0f} frames passed whole.")
    if result.soak is not None:
        soak = result.soak
        lost = f"{soak.lost:,} of {soak.frames:,}" if soak.lost else f"none of {soak.frames:,}"
        said.append(f"In {soak.duration_s:,.0f} s at {figures.rate(soak.load_per_s)} it lost {lost} frames.")
    if result.outages:
        worst = max(result.outages, key=lambda outage: outage.lost)
        said.append(
            f"The costliest of {len(result.outages)} events ({worst.event}) lost {worst.lost:,} frames, "
            f"as many as are due in {figures.seconds(worst.blocked_s)}."
        )
    if result.test == "selftest" and result.tester.selftest is not None:
        rate = figures.rate(result.tester.selftest.max_load_per_s)
        said.append(
            f"The tester alone sends and counts up to {rate} without loss: it measures no device above that."
        )
    return said

# SPDX-License-Identifier: Apache-2.0
"""The throughput that other tests take their loads from: searched for, or given by the user."""

from __future__ import annotations

from forwarder.bench.context import Bench
from forwarder.bench.goals import SearchGoal, goals
from forwarder.bench.profile import BenchProfile
from forwarder.bench.search import search
from forwarder.errors import TtfwdError


class NoThroughput(TtfwdError):
    """There is no load at which the DUT forwards well enough."""


def throughput(bench: Bench, profile: BenchProfile, goal: str) -> float:
    """Frames a second in one direction: the lower bound of `goal` ("ndr" or "pdr").

    It is searched for once, unless the profile gives it, by the first of the profile's goals that has such
    a throughput, or else by `goal` itself. Raises NoThroughput, and what a search does.
    """
    if profile.rate_per_s is not None:
        return profile.rate_per_s
    lossless = goal == "ndr"
    found = bench.parts.lower_per_s(lossless=lossless)
    if found is None:
        wanted = _wanted(profile, goal, lossless)
        search(bench, [wanted], max_time_s=profile.max_time_s)
        found = bench.parts.lower_per_s(lossless=lossless)
        if found is None:
            raise NoThroughput(
                f"no load was found of which {'nothing' if lossless else 'at most 0.5 %'} is lost, "
                f"so there is no {goal.upper()} to take a load from; --rate gives one "
                f"({bench.parts.goals[wanted][-1].why})"
            )
    return found


def _wanted(profile: BenchProfile, goal: str, lossless: bool) -> SearchGoal:
    fitting = (each for each in goals(",".join(profile.goals)) if (each.loss_ratio == 0) == lossless)
    return next(fitting, goals(goal)[0])

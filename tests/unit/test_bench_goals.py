# SPDX-License-Identifier: Apache-2.0
"""The goals are those of the standards that they are named after."""

from __future__ import annotations

import pytest

from forwarder.bench.bounds import Bounds
from forwarder.bench.goals import DEFAULT, PRESETS, SearchGoal, goals
from forwarder.errors import UsageError


def attributes(goal: SearchGoal) -> tuple[float, ...]:
    return goal.final_trial_s, goal.duration_sum_s, goal.loss_ratio, goal.exceed_ratio, goal.width


def test_presets() -> None:
    assert {goal.name: attributes(goal) for preset in PRESETS.values() for goal in preset} == {
        "ndr": (1, 21, 0, 0.5, 0.005),
        "pdr": (1, 21, 0.005, 0.5, 0.005),
        "rfc2544": (60, 60, 0, 0, 0.005),
        "tst009": (60, 120, 0, 0.5, 0.005),
        "quick_ndr": (0.5, 3, 0, 0.5, 0.02),
        "quick_pdr": (0.5, 3, 0.005, 0.5, 0.02),
    }
    assert [goal.name for preset in PRESETS.values() for goal in preset if not goal.publishable] == [
        "quick_ndr",
        "quick_pdr",
    ]


def test_several_are_named_in_a_list() -> None:
    assert [goal.name for goal in goals(DEFAULT)] == ["ndr", "pdr"]
    assert [goal.name for goal in goals("quick, pdr,pdr")] == ["quick_ndr", "quick_pdr", "pdr"]


@pytest.mark.parametrize("names", ["mrr", "", "ndr,,pdr", "NDR"])
def test_a_name_that_is_none_is_refused_with_all_that_are(names: str) -> None:
    with pytest.raises(UsageError, match=r"no goal \".*\" \(goals: ndr, pdr, rfc2544, tst009, quick\)"):
        goals(names)


def test_bounds_reach_a_goal_when_they_are_near_and_by_enough_trials() -> None:
    (ndr,) = goals("ndr")
    near = Bounds(995.0, 1000.0, 995.0, ndr.duration_sum_s)
    assert near.width == pytest.approx(0.005)
    assert near.reached(ndr)
    assert near.left_s(ndr) == 0
    far = Bounds(990.0, 1000.0, 990.0, ndr.duration_sum_s)
    coarse = Bounds(995.0, 1000.0, 995.0, 1.0)
    nothing = Bounds(None, 1000.0, None, 1.0)
    assert [bounds.reached(ndr) for bounds in (far, coarse, nothing)] == [False] * 3
    assert far.missing(ndr) == ["the bounds are 1.00% apart instead of 0.50%"]
    assert coarse.missing(ndr) == ["at each load 1 s of trials instead of 21 s"]
    assert [len(bounds.missing(ndr)) for bounds in (near, nothing, Bounds(None, None, None, 1.0))] == [
        0,
        1,
        0,
    ]
    assert 0 < far.left_s(ndr) < coarse.left_s(ndr) < nothing.left_s(ndr)

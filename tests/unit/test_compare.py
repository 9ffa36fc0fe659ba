# SPDX-License-Identifier: Apache-2.0
"""Comparing two results: noise is no difference, and a difference of conditions is none of the device."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from forwarder.report.compare import Outcome, compare, student_p, welch_p
from forwarder.report.comparison import comparison, differences
from forwarder.report.document import Notice
from forwarder.report.measures import Measure, measures
from forwarder.results.load import StoredResult
from tests.support import results


def pdr(*lower_per_s: float) -> Measure:
    """The PDR of a result whose searches found these lower bounds."""
    (measure,) = (one for one in measures(results.full(lower_per_s)) if one.key == "goal pdr")
    return measure


@pytest.mark.parametrize(
    ("t", "freedom", "p"),
    [(12.706, 1, 0.05), (4.303, 2, 0.05), (2.776, 4, 0.05), (2.086, 20, 0.05), (3.250, 9, 0.01), (0, 3, 1)],
)
def test_student_p_is_that_of_the_tables(t: float, freedom: float, p: float) -> None:
    assert student_p(t, freedom) == pytest.approx(p, rel=2e-3)


def test_welch_p_is_that_of_a_worked_example() -> None:
    """Means 10 and 12.5, variances 2.5 and 7.25: t = 1.790 with 6.47 degrees of freedom."""
    first, second = (8, 9, 10, 11, 12), (9, 11, 12.5, 14, 16)
    assert welch_p(first, second) == pytest.approx(0.12004, abs=1e-4)
    assert welch_p((5, 5), (5, 5)) == 1
    assert welch_p((5, 5), (6, 6)) == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("base", "now", "outcome", "how"),
    [
        (
            (500e3, 501e3, 499e3),
            (540e3, 541e3, 539e3),
            "better",
            "Welch's t-test, 3 and 3 starts of the DUT: p < 0.001",
        ),
        (
            (540e3, 541e3, 539e3),
            (500e3, 501e3, 499e3),
            "worse",
            "Welch's t-test, 3 and 3 starts of the DUT: p < 0.001",
        ),
        ((500e3, 560e3, 440e3), (540e3, 600e3, 480e3), "can't tell", "within the spread"),
        ((500e3, 500e3, 500e3), (501e3, 501e3, 501e3), "can't tell", "within 0.5 %"),
        ((500e3,), (502e3,), "can't tell", "within 0.5 %"),
        ((500e3,), (540e3,), "perhaps better", "not repeated"),
        ((540e3, 541e3, 539e3), (500e3,), "perhaps worse", "not repeated"),
    ],
)
def test_a_difference_is_told_from_noise(
    base: Sequence[float], now: Sequence[float], outcome: Outcome, how: str
) -> None:
    found = compare(pdr(*base), pdr(*now))
    assert found.outcome == outcome
    assert how in found.how


@pytest.mark.slow
def test_less_latency_is_better() -> None:
    base, now = (results.full(median_ns=median) for median in (2_300, 1_900))
    found = {one.now.key: one.outcome for one in differences(base, now)}
    assert found["latency pdr_50 forward path p50"] == "better"
    assert found["goal ndr"] == "can't tell"


def test_what_isnt_the_devices_figure_tells_nothing() -> None:
    whole, limited = results.full((500e3,)), results.generator_limited()
    (ndr, *_) = differences(whole, limited)
    assert (ndr.outcome, ndr.how) == ("can't tell", "this run: limited by the generator")
    (ndr, pdr_, *_) = differences(results.interrupted(), whole)
    assert (ndr.outcome, ndr.how) == ("not comparable", "the base has no such figure")
    assert (pdr_.outcome, pdr_.how) == ("can't tell", "base: its limit isn't known")


def test_goals_with_other_attributes_arent_compared() -> None:
    base = results.full(goals=(results.goal("pdr", [500e3], loss_ratio=0.001),))
    now = results.full(goals=(results.goal("pdr", [540e3], loss_ratio=0.005),))
    assert differences(base, now)[0].outcome == "not comparable"


def test_an_irregular_run_isnt_a_sample_of_regular_ones() -> None:
    regular, irregular = results.goal("pdr", [500e3, 501e3]), results.goal("pdr", [900e3], regular=False)
    mixed = regular.model_copy(update={"runs": regular.runs + irregular.runs})
    measure = measures(results.full(goals=(mixed,)))[0]
    assert measure.samples == (500e3, 501e3)
    assert measure.caveat == "irregular"


def test_a_result_is_equal_to_itself() -> None:
    for stored in results.every_test().values():
        assert {one.outcome for one in differences(stored, stored)} <= {"can't tell"}


def test_other_traffic_is_marked_and_other_surroundings_are_listed() -> None:
    base = results.full()
    now = results.full(profile=results.profile("1514", 1514.0), dut=results.dut("driver tap, 1 queue"))
    section = comparison(base, now)
    (notice,) = (block for block in section.blocks if isinstance(block, Notice))
    assert "sizes: 60 in the base, 1514 here" in notice.reasons
    assert ("dut.title", "driver uring, 1 queue", "driver tap, 1 queue") in surroundings(base, now)


def test_a_result_that_isnt_publishable_puts_the_comparison_in_doubt() -> None:
    section = comparison(results.full(), results.interrupted())
    (notice,) = (block for block in section.blocks if isinstance(block, Notice))
    assert notice.title == "A difference may be the machine's"
    assert notice.reasons == (
        "this run isn't publishable: it was interrupted before its end; goal ndr: irregular",
    )


def test_the_facts_of_another_host_are_listed() -> None:
    now = results.full(host=results.host(clock={"source": "tsc"}))
    assert ("host.clock.source", "kvm-clock", "tsc") in surroundings(results.full(), now)


def surroundings(base: StoredResult, now: StoredResult) -> tuple[tuple[object, ...], ...]:
    from forwarder.report.document import Table

    table = comparison(base, now).blocks[-1]
    assert isinstance(table, Table)
    return table.rows

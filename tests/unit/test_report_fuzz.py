# SPDX-License-Identifier: Apache-2.0
"""Any result that the model admits has a report and exports, however odd its figures are."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from forwarder.report.build import document
from forwarder.report.csv_tables import figures_csv, trials_csv
from forwarder.report.openmetrics import openmetrics
from forwarder.report.to_html import html
from forwarder.report.to_markdown import markdown
from forwarder.report.to_text import print_text
from forwarder.report.uti import uti
from forwarder.results.load import StoredResult
from forwarder.results.model import (
    Burst,
    Distribution,
    Goal,
    GoalRun,
    Latency,
    LossPoint,
    Lost,
    Outage,
    Rate,
    Soak,
    Trial,
)
from forwarder.stats.section import make_console
from tests.support import results
from tests.unit.exposition import exposed

pytestmark = pytest.mark.slow

COUNTS = st.integers(0, 2**62)
MAYBE = st.none() | st.floats(0, 1e15)
RATES = st.floats(0, 1e15)
RATIOS = st.floats(0, 1)
WORDS = st.text(max_size=12)
VERDICTS = st.sampled_from(["dut_limited", "generator_limited", "receiver_limited", "noisy", "inconclusive"])


@st.composite
def distributions(draw: st.DrawFn) -> Distribution:
    buckets = draw(st.dictionaries(st.integers(0, 2**40), st.integers(1, 2**40), max_size=4))
    samples = sum(buckets.values())
    known = draw(st.booleans()) and bool(buckets)
    return Distribution(
        samples=samples,
        buckets=tuple(sorted(buckets.items())),
        **dict.fromkeys(("min_ns", "p50_ns", "max_ns"), max(buckets)) if known else {},
        mean_ns=draw(MAYBE) if known else None,
    )


def goals() -> st.SearchStrategy[Goal]:
    run = st.builds(
        GoalRun,
        run=st.integers(1, 9),
        regular=st.booleans(),
        lower_per_s=MAYBE,
        upper_per_s=MAYBE,
        conditional_per_s=MAYBE,
        verdict=VERDICTS,
        why=st.none() | WORDS,
    )
    return st.builds(
        Goal,
        name=WORDS,
        loss_ratio=RATIOS,
        exceed_ratio=RATIOS,
        duration_sum_s=RATES,
        final_trial_s=RATES,
        width=RATIOS,
        runs=st.lists(run, max_size=3, unique_by=lambda one: one.run).map(tuple),
        mean_per_s=MAYBE,
        stdev_per_s=MAYBE,
        aggregate_factor=st.integers(1, 2),
    )


def latencies() -> st.SearchStrategy[Latency]:
    return st.builds(
        Latency,
        load=st.sampled_from(["pdr_0", "pdr_50", "rate_33.3", "odd"]) | WORDS,
        intended_per_s=RATES,
        direction=st.sampled_from(["forward", "backward"]),
        trials=COUNTS,
        lost=COUNTS,
        duplicates=COUNTS,
        reordered=COUNTS,
        path=distributions(),
        response=distributions(),
        lateness=distributions(),
        pdv_ns=st.none() | COUNTS,
        ipdv=st.none() | distributions(),
        rfc3550_jitter_ns=MAYBE,
    )


LOST = st.builds(
    Lost,
    before_dut=COUNTS,
    dut=st.dictionaries(WORDS, COUNTS, max_size=2),
    after_dut=COUNTS,
    receiver=COUNTS,
    unexplained=COUNTS,
)

BURSTS = st.builds(
    Burst,
    load_per_s=RATES,
    frames=st.lists(COUNTS, max_size=2).map(tuple),
    min_frames=COUNTS,
    mean_frames=RATES,
    max_frames=COUNTS,
    stdev_frames=MAYBE,
    buffer_s=RATES,
    corrected_buffer_s=MAYBE,
)
SOAKS = st.builds(
    Soak,
    load_per_s=RATES,
    duration_s=RATES,
    frames=COUNTS,
    lost=COUNTS,
    lost_each_second=st.lists(COUNTS, max_size=3).map(tuple),
    loss_ratio_below=RATES,
)
OUTAGES = st.builds(Outage, event=WORDS, load_per_s=RATES, lost=COUNTS, blocked_s=RATES, longest_gap_s=MAYBE)


@st.composite
def parts(draw: st.DrawFn) -> dict[str, Any]:
    """The figures of a result. A reader finds each once: loads and directions don't repeat."""
    rows = st.lists(latencies(), max_size=3, unique_by=lambda one: (one.load, one.direction))
    return {
        "complete": draw(st.booleans()),
        "publishable": draw(st.booleans()),
        "why_not": draw(st.lists(WORDS, max_size=2).map(tuple)),
        "goals": draw(st.lists(goals(), max_size=2, unique_by=lambda goal: goal.name).map(tuple)),
        "latency": draw(rows.map(tuple)),
        "mrr": draw(
            st.none()
            | st.builds(
                Rate,
                intended_per_s=RATES,
                received_per_s=st.lists(RATES, max_size=3).map(tuple),
                mean_per_s=RATES,
                stdev_per_s=MAYBE,
                verdict=VERDICTS,
            )
        ),
        "loss_curve": draw(
            st.lists(
                st.builds(
                    LossPoint,
                    intended_per_s=RATES,
                    sent_per_s=RATES,
                    received_per_s=RATES,
                    loss_ratio=RATIOS,
                    trials=COUNTS,
                ),
                max_size=3,
                unique_by=lambda point: f"{point.intended_per_s:.10g}",
            ).map(tuple)
        ),
        "burst": draw(st.none() | BURSTS),
        "soak": draw(st.none() | SOAKS),
        "outages": draw(st.lists(OUTAGES, max_size=2).map(tuple)),
        "lost": draw(LOST),
    }


TRIALS = st.lists(
    st.builds(
        lambda number, per_s, void, verdict: results.trial(
            number, 10.0, void=void, verdict=verdict
        ).model_copy(update={"intended_per_s": per_s}),
        st.integers(1, 9),
        RATES,
        st.lists(WORDS, max_size=1),
        st.none() | VERDICTS,
    ),
    max_size=3,
).map(tuple)


# Shrinking draws hundreds of pages, and the first failure says enough.
@settings(max_examples=10, phases=[Phase.generate], suppress_health_check=[HealthCheck.too_slow])
@given(parts(), TRIALS, parts())
def test_any_result_can_be_shown(
    made: dict[str, Any], trials: tuple[Trial, ...], other: dict[str, Any]
) -> None:
    stored = StoredResult(Path("result.json"), results.result(**made), trials)
    base = StoredResult(Path("base.json"), results.result(**other), ())
    report = document([stored, base], base)
    assert html(report).endswith("</html>\n")
    assert markdown(report)
    print_text(document([stored]), make_console(io.StringIO()))
    assert figures_csv([stored], base)
    assert trials_csv(stored)
    assert exposed(openmetrics(stored))
    assert uti(stored)["version"] == "1.5.1"

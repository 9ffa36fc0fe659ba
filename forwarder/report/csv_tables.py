# SPDX-License-Identifier: Apache-2.0
"""Results as CSV: a line for each figure of the results, or for each trial of one and its directions.

Numbers are as they were measured, in the unit of the column or of the line. What isn't known is empty.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from forwarder.report.comparison import differences
from forwarder.report.measures import Measure, measures
from forwarder.results.load import StoredResult
from forwarder.results.model import Distribution

_Row = Sequence[object]

_RESULT = ("run_id", "started", "test", "dut", "sizes", "publishable")
_FIGURE = ("figure", "value", "unit", "better", "lower_bound", "upper_bound", "samples", "caveat")
_COMPARED = ("base_value", "change_ratio", "outcome", "how")


def figures_csv(results: Sequence[StoredResult], base: StoredResult | None = None) -> str:
    """A line for each figure; with a base, also its value there and whether the two differ."""
    rows: list[_Row] = [(*_RESULT, *_FIGURE, *(_COMPARED if base else ()))]
    for stored in results:
        compared = {one.now.key: one for one in differences(base, stored)} if base else {}
        for measure in measures(stored):
            row = [*_identity(stored), *_figure(measure)]
            if base:
                one = compared.get(measure.key)
                row += (
                    [one.base.value, one.change_ratio, one.outcome, one.how]
                    if one
                    else [None] * len(_COMPARED)
                )
            rows.append(row)
    return _csv(rows)


def _identity(stored: StoredResult) -> _Row:
    result = stored.result
    publishable = "yes" if result.publishable else "no"
    return result.run_id, result.started, result.test, result.dut.title, result.profile.sizes, publishable


def _figure(measure: Measure) -> _Row:
    low, high = measure.bounds or (None, None)
    samples = " ".join(f"{sample:.10g}" for sample in measure.samples)
    return measure.key, measure.value, measure.unit, measure.better, low, high, samples, measure.caveat


_TRIAL = (
    *("trial", "started", "purpose", "run", "intended_per_s", "duration_s", "verdict", "void", "loss_ratio"),
    *("direction", "intended", "sent", "unsent", "received", "lost", "duplicates", "reordered"),
    *(
        f"{kind}_{name}_ns"
        for kind in ("path", "response", "lateness")
        for name in ("min", "p50", "p90", "p99", "p999", "p9999", "max")
    ),
    *("foreign_cpu_ratio", "steal_ratio", "preemptions"),
)


def trials_csv(stored: StoredResult) -> str:
    """A line for each direction of each trial."""
    rows: list[_Row] = [_TRIAL]
    for trial in stored.trials:
        head = (trial.number, trial.started, trial.purpose, trial.run, trial.intended_per_s, trial.duration_s)
        judged = (trial.verdict, "; ".join(trial.void), trial.loss_ratio)
        machine = trial.disturbance
        tail = (machine.foreign_cpu_ratio, machine.steal_ratio, machine.preemptions)
        for way in trial.ways:
            frames = (way.direction, way.intended, way.sent, way.unsent, way.received, way.lost)
            order = (way.duplicates, way.reordered)
            times = [*_times(way.path), *_times(way.response), *_times(way.lateness)]
            rows.append((*head, *judged, *frames, *order, *times, *tail))
    return _csv(rows)


def _times(times: Distribution) -> _Row:
    known = (times.p50_ns, times.p90_ns, times.p99_ns, times.p999_ns, times.p9999_ns)
    return times.min_ns, *known, times.max_ns


def _csv(rows: Iterable[_Row]) -> str:
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows(rows)
    return written.getvalue()

# SPDX-License-Identifier: Apache-2.0
"""Maximum receive rate (FD.io CSIT's MRR): how much comes through at the highest load, loss or not."""

from __future__ import annotations

from collections import Counter

from forwarder.bench.context import Bench
from forwarder.bench.profile import Mrr
from forwarder.bench.repeats import spread
from forwarder.results.model import Rate, Trial
from forwarder.tester.trial import Load

PURPOSE = "mrr"


def mrr(bench: Bench, keys: Mrr) -> None:
    """Add to the rate what these trials received. Trials of earlier runs stay in it."""
    load = Load(per_s=bench.selftest.max_load_per_s, duration_s=keys.trial_s)
    said = Counter[str]()
    before = bench.parts.mrr.received_per_s if bench.parts.mrr is not None else ()
    received: list[float] = list(before)
    if bench.parts.mrr is not None:
        said[bench.parts.mrr.verdict] += len(before)
    for _ in range(keys.trials):
        trial = bench.runner.trial(load, PURPOSE)
        # At the highest load of the tester, what limits nothing is limited by the tester.
        said[trial.verdict or "generator_limited"] += 1
        received.append(received_per_s(trial))
        mean, stdev = spread(received)
        bench.parts.mrr = Rate.model_validate(
            {
                "intended_per_s": load.per_s,
                "received_per_s": received,
                "mean_per_s": mean,
                "stdev_per_s": stdev,
                "verdict": said.most_common(1)[0][0],
            }
        )


def received_per_s(trial: Trial) -> float:
    """Different frames a second, of one direction: the mean of both."""
    return sum(way.received for way in trial.ways) / len(trial.ways) / trial.duration_s

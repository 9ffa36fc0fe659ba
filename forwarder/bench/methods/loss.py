# SPDX-License-Identifier: Apache-2.0
"""The loss-rate curve (RFC 2544, 26.3): from the highest load down, until nothing is lost twice in a row."""

from __future__ import annotations

from forwarder.bench.context import Bench
from forwarder.bench.profile import LossKeys
from forwarder.results.model import LossPoint
from forwarder.tester.trial import Load

PURPOSE = "loss"
_WITHOUT_LOSS = 2


def loss(bench: Bench, keys: LossKeys) -> None:
    """Add a point for each load."""
    highest_per_s = bench.selftest.max_load_per_s
    lossless = step = 0
    while lossless < _WITHOUT_LOSS and (percent := 100 - step * keys.step_percent) > 0:
        load = Load(per_s=highest_per_s * percent / 100, duration_s=keys.trial_s)
        trial = bench.runner.trial(load, PURPOSE)
        directions_s = len(trial.ways) * trial.duration_s
        point = LossPoint(
            intended_per_s=load.per_s,
            sent_per_s=sum(way.sent for way in trial.ways) / directions_s,
            received_per_s=sum(way.received for way in trial.ways) / directions_s,
            loss_ratio=trial.loss_ratio,
            trials=1,
        )
        bench.parts.loss_curve.append(point)
        lossless = lossless + 1 if all(way.lost == 0 for way in trial.ways) else 0
        step += 1

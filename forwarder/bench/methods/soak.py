# SPDX-License-Identifier: Apache-2.0
"""Soak: a constant load for long. What is lost in each second, and how much loss can be ruled out."""

from __future__ import annotations

import math
from statistics import NormalDist

from forwarder.bench.context import Bench
from forwarder.bench.profile import SoakKeys
from forwarder.results.model import Soak, Trial
from forwarder.tester.trial import Load

PURPOSE = "soak"
_CONFIDENCE = 0.95
DEVIATION = "soak: trials follow each other, with the wait for stragglers between them"


def soak(bench: Bench, keys: SoakKeys, throughput_per_s: float) -> None:
    """Send until `duration_s` of trials that count are over."""
    bench.parts.deviations.append(DEVIATION)
    per_s = throughput_per_s * keys.load_percent / 100
    sent_s, frames, lost = 0.0, 0, 0
    each_second: list[int] = []
    while sent_s < keys.duration_s:
        load = Load(per_s=per_s, duration_s=min(keys.trial_s, keys.duration_s - sent_s))
        trial = bench.runner.trial(load, PURPOSE)
        sent_s += load.duration_s
        frames += sum(way.sent for way in trial.ways)
        lost += sum(way.lost for way in trial.ways)
        each_second += _each_second(trial)
        bench.parts.soak = Soak(
            load_per_s=per_s,
            duration_s=sent_s,
            frames=frames,
            lost=lost,
            lost_each_second=tuple(each_second),
            loss_ratio_below=loss_ratio_below(lost, frames),
        )


def _each_second(trial: Trial) -> list[int]:
    """Of both directions together."""
    seconds = max(len(way.lost_each_second) for way in trial.ways)
    padded = [(*way.lost_each_second, *(0,) * (seconds - len(way.lost_each_second))) for way in trial.ways]
    return [sum(of_second) for of_second in zip(*padded, strict=True)]


def loss_ratio_below(lost: int, frames: int) -> float:
    """The loss ratio that, with 95 % confidence, isn't reached: 3/n where nothing was lost.

    The upper limit of a Poisson mean, by the approximation of Wilson and Hilferty for chi-square.
    """
    if not frames:
        return 1.0
    if not lost:
        return min(1.0, -math.log(1 - _CONFIDENCE) / frames)
    more = lost + 1
    root = 1 - 1 / (9 * more) + NormalDist().inv_cdf(_CONFIDENCE) / (3 * math.sqrt(more))
    return min(1.0, more * root**3 / frames)

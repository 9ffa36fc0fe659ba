# SPDX-License-Identifier: Apache-2.0
"""Back-to-back frames (RFC 9004): the longest burst of which nothing is lost, and what it says of the buffer.

The standard sends bursts at the line rate. A tap has none: they come at the tester's own maximum load.
"""

from __future__ import annotations

import statistics

from forwarder.bench.context import Bench
from forwarder.bench.profile import BurstKeys
from forwarder.bench.repeats import spread
from forwarder.results.model import Burst
from forwarder.tester.trial import Load

PURPOSE = "burst"
WIDTH = 0.02  # of the longest burst
DEVIATIONS = (
    "bursts come at the self-test's load, as a tap has no line rate",
    f"the length of a burst is found within {WIDTH:.0%}",
)


def burst(bench: Bench, keys: BurstKeys, throughput_per_s: float | None) -> None:
    """Search `repeats` times. `throughput_per_s` (NDR) corrects for what leaves during the burst."""
    bench.parts.deviations.extend(DEVIATIONS)
    frames: list[int] = []
    for _ in range(keys.repeats):
        frames.append(_longest(bench, keys.max_frames, frames[-1] if frames else None))
        bench.parts.burst = _part(bench.selftest.max_load_per_s, frames, throughput_per_s)
    if keys.max_frames in frames:
        bench.parts.why_not.append(
            f"burst: nothing was lost of {keys.max_frames} frames, the longest burst that was tried"
        )


def _longest(bench: Bench, most: int, expected: int | None) -> int:
    """Frames of the longest burst that comes through; 0 if not even two do."""

    def passes(frames: int) -> bool:
        per_s = bench.selftest.max_load_per_s
        load = Load(per_s=per_s, duration_s=frames / per_s, burst_frames=frames)
        trial = bench.runner.trial(load, PURPOSE)
        return all(way.received == way.intended for way in trial.ways)

    good, bad = 0, most + 1
    tried = min(most, expected or 64)
    while bad - good > max(1, WIDTH * good):
        if passes(tried):
            good = tried
        else:
            bad = tried
        # Until something is lost, longer and longer ones.
        tried = min(2 * good, most) if bad > most and good else (good + bad) // 2
    return good


def _part(load_per_s: float, frames: list[int], throughput_per_s: float | None) -> Burst:
    mean = statistics.fmean(frames)
    buffer_s = mean / load_per_s
    corrected_s = None
    if throughput_per_s is not None:
        corrected_s = buffer_s - buffer_s * min(1.0, throughput_per_s / load_per_s)  # RFC 9004, 6.4
    return Burst(
        load_per_s=load_per_s,
        frames=tuple(frames),
        min_frames=min(frames),
        mean_frames=mean,
        max_frames=max(frames),
        stdev_frames=spread(frames)[1],
        buffer_s=buffer_s,
        corrected_buffer_s=corrected_s,
    )

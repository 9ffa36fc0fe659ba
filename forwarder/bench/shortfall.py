# SPDX-License-Identifier: Apache-2.0
"""Frames that were due and not sent: how many are forgiven, and whether the generator keeps pace. Pure."""

from __future__ import annotations

from forwarder.results.model import Way
from forwarder.tester.trial import Load

# As in FD.io CSIT: a piece of the traffic that is as long as this may be missing.
TOLERATED_S = 10e-6
# Where noise is allowed, so large a part may be missing because the generator stood still.
TOLERATED_STALLED_RATIO = 0.1
TOLERANCE = "frames of up to 10 us of the load that weren't sent are forgiven, in each trial and direction"

# A median that late isn't the way of a single frame: a frame takes a generator less than the interval.
_IN_TIME_INTERVALS = 8


def tolerated(load: Load, way: Way, noise_allowed: bool = False) -> int:
    """How many of a direction's frames that weren't sent are forgiven."""
    most = int(load.per_s * TOLERATED_S)
    if noise_allowed and kept_pace(load, way):
        most = max(most, int(way.intended * TOLERATED_STALLED_RATIO))
    return min(max(way.unsent, 0), most)


def shortfall(load: Load, way: Way, noise_allowed: bool = False) -> int:
    """How many frames of a direction weren't sent, and aren't forgiven."""
    return max(way.unsent, 0) - tolerated(load, way, noise_allowed)


def kept_pace(load: Load, way: Way) -> bool:
    """Whether most frames were about in time. If not, the load is more than the generator can do.

    A generator below its load is late all the time, by as much as it may catch up. One that stood still for a
    while is late afterwards only.
    """
    late_ns = way.lateness.p50_ns
    return late_ns is None or late_ns <= _IN_TIME_INTERVALS * 1e9 / load.per_s

# SPDX-License-Identifier: Apache-2.0
"""Round trips of lone packets, by ping."""

from __future__ import annotations

import re
from statistics import median

from tests.bench.commands import run
from tests.bench.programs import ProgramError
from tests.support.commands import in_namespace

_INTERVAL_S = 0.05  # who waits for packets sleeps meanwhile
_PATIENCE_S = 60.0


def round_trip_us(netns: str, address: str, count: int) -> float:
    """The median of `count` round trips, one at a time. Raises ProgramError."""
    command = ("ping", "-n", "-c", str(count), "-i", str(_INTERVAL_S), address)
    told = run(in_namespace(netns, *command), count * _INTERVAL_S + _PATIENCE_S)
    times_ms = [float(found) for found in re.findall(r"time=([\d.]+) ms", told)]
    if len(times_ms) != count:
        raise ProgramError(f"ping: {len(times_ms)} of {count} replies")
    return median(times_ms) * 1e3

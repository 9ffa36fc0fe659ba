# SPDX-License-Identifier: Apache-2.0
"""The cost of a descriptor's way through a ring (ring_hop.c)."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from tests.bench.load import FORWARDER_CPU, GENERATOR_CPU
from tests.bench.programs import Programs
from tests.bench.rounds import Spread

BURSTS = (1, 8, 32, 128)
_MILLISECONDS = 150


@dataclass(frozen=True)
class RingResult:
    """Results at one burst size. One way: a whole burst's time from one process to the other."""

    burst_packets: int
    streaming_ns_per_descriptor: Spread
    one_way_ns: Spread


def measure(programs: Programs, rounds: int, progress: Callable[[str], None]) -> list[RingResult]:
    found: dict[int, list[dict[str, float]]] = {burst: [] for burst in BURSTS}
    for number in range(rounds):
        progress(f"ring: round {number + 1} of {rounds}")
        for burst in BURSTS:
            cpus = ["-p", FORWARDER_CPU, "-c", GENERATOR_CPU]
            text = programs.output("ring_hop", [*cpus, "-b", burst, "-m", _MILLISECONDS])
            found[burst].append(json.loads(text))
    return [
        RingResult(
            burst,
            Spread.of([one["streaming_ns"] for one in samples]),
            Spread.of([one["one_way_ns"] for one in samples]),
        )
        for burst, samples in found.items()
    ]

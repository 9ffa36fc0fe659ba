# SPDX-License-Identifier: Apache-2.0
"""How still CPUs are: a loop on each that only reads the clock, and counts the times it wasn't run."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from forwarder.native import ffi, lib

GAP_NS = 10_000


@dataclass(frozen=True, slots=True)
class Noise:
    """Of one CPU."""

    duration_ns: int
    gaps: int  # longer than GAP_NS
    gaps_ns: int
    longest_ns: int  # gap of any length

    @property
    def lost_ratio(self) -> float:
        """The part of the time that went to gaps."""
        return self.gaps_ns / self.duration_ns

    @property
    def gaps_per_s(self) -> float:
        return self.gaps * 1e9 / self.duration_ns


def listen(cpus: Collection[int], duration_s: float) -> Mapping[int, Noise]:
    """Occupy these CPUs for so long, all at once. One that this process may not use has no entry."""
    if not cpus:
        return {}
    with ThreadPoolExecutor(len(cpus)) as pool:
        heard = pool.map(lambda cpu: _listen(cpu, round(duration_s * 1e9)), sorted(cpus))
        return {cpu: noise for cpu, noise in zip(sorted(cpus), heard, strict=True) if noise is not None}


def _listen(cpu: int, duration_ns: int) -> Noise | None:
    try:
        os.sched_setaffinity(0, (cpu,))  # this thread's
    except OSError:
        return None
    noise = ffi.new("struct ttf_noise *")
    lib.ttf_noise_listen(duration_ns, GAP_NS, noise)
    return Noise(noise.duration_ns, noise.gaps, noise.gaps_ns, noise.longest_ns)

# SPDX-License-Identifier: Apache-2.0
"""What a test is handed: `def mrr(bench: Bench, ...) -> None` runs trials, and adds its part to `parts`."""

from __future__ import annotations

from dataclasses import dataclass

from forwarder.bench.parts import Parts
from forwarder.bench.runner import Runner
from forwarder.bench.seams import DeviceUnderTest
from forwarder.results.model import Profile, Selftest


@dataclass(slots=True)
class Bench:
    profile: Profile
    dut: DeviceUnderTest
    runner: Runner  # of trials through the DUT
    selftest: Selftest  # was before; sets the maximum load and the runner's limits
    parts: Parts

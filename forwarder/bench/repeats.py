# SPDX-License-Identifier: Apache-2.0
"""A test several times, each with a fresh start of the DUT: runs differ more than the trials of one do."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

from forwarder.bench.context import Bench


def repeat(bench: Bench, times: int, test: Callable[[Bench], None]) -> None:
    """Runs are numbered from 1. The first one has the DUT as it is, each other one has it restarted."""
    for run in range(1, times + 1):
        if run > 1:
            bench.dut.restart()
        bench.runner.run = run
        test(bench)


def spread(values: Sequence[float]) -> tuple[float | None, float | None]:
    """Mean and sample standard deviation; None of too few values."""
    return (
        statistics.fmean(values) if values else None,
        statistics.stdev(values) if len(values) > 1 else None,
    )

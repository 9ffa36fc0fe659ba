# SPDX-License-Identifier: Apache-2.0
"""What an event costs while traffic passes: `reset` and `reconf`.

The event comes in the middle of a trial. Lost frames by the load are the time for which nothing passed, as if
it had been one outage (RFC 6201, frame-loss based). The longest gap between two arrivals is told beside it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from forwarder.bench.context import Bench
from forwarder.bench.profile import OutageKeys
from forwarder.errors import TtfwdError
from forwarder.results.model import Outage
from forwarder.tester.trial import Load

DEVIATION = "outages: below the throughput, so that what is lost is the event's alone"


Act = Callable[[], object]


def outage(
    bench: Bench, keys: OutageKeys, throughput_per_s: float, event: str, prepare: Callable[[], Act]
) -> None:
    """One trial with an event in its middle, and its row.

    `prepare` makes ready for a trial, and returns the event, which a thread of its own calls. Raises what
    either does: TtfwdError, OSError.
    """
    if DEVIATION not in bench.parts.deviations:
        bench.parts.deviations.append(DEVIATION)
    load = Load(per_s=throughput_per_s * keys.load_percent / 100, duration_s=keys.trial_s)
    trial = bench.runner.trial(load, event, around=lambda: _amid(load.duration_s / 2, prepare()))
    lost = sum(way.lost for way in trial.ways)
    gaps = [way.longest_gap_ns for way in trial.ways if way.longest_gap_ns is not None]
    bench.parts.outages.append(
        Outage(
            event=event,
            load_per_s=load.per_s,
            lost=lost,
            blocked_s=lost / len(trial.ways) / load.per_s,
            longest_gap_s=max(gaps) / 1e9 if gaps else None,
        )
    )


@contextmanager
def _amid(delay_s: float, act: Act) -> Iterator[None]:
    """`act` while the body runs, after a delay. What it raises is raised after the body."""
    failed: list[TtfwdError | OSError] = []

    def run() -> None:
        try:
            act()
        except (TtfwdError, OSError) as error:
            failed.append(error)

    timer = threading.Timer(delay_s, run)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()  # if the body was quicker
        timer.join()
    if failed:
        raise failed[0]

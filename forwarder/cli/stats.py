# SPDX-License-Identifier: Apache-2.0
"""`ttfwd stats`: an instance's counters and rates, once or until Ctrl-C, as tables or as JSON lines."""

import json
import sys
import time
from collections.abc import Sequence
from contextlib import closing, suppress

from forwarder.stats.follow import Follower
from forwarder.stats.live import LiveView
from forwarder.stats.rates import Rates, rates
from forwarder.stats.reader import StatsReader
from forwarder.stats.section import make_console
from forwarder.stats.snapshot import Snapshot
from forwarder.stats.tables import stats_tables
from forwarder.stats.to_json import stats_json


def show(
    instance: str, interval_s: float, ports: Sequence[str], workers: Sequence[int], as_json: bool
) -> None:
    """Print the statistics once, with rates over `interval_s`. Raises TtfwdError."""
    with StatsReader.attach(instance) as reader:
        before = reader.snapshot()
        time.sleep(interval_s)  # a rate needs two looks
        after = reader.snapshot()
    found = rates(before, after)
    if as_json:
        _print_json(after, found, interval_s, ports, workers)
    else:
        make_console().print(*stats_tables(after, found, ports, workers), sep="\n")


def watch(
    instance: str, interval_s: float, ports: Sequence[str], workers: Sequence[int], as_json: bool
) -> None:
    """Print the statistics every `interval_s` until Ctrl-C or the instance's stop. Raises TtfwdError.

    An instance that is started again is followed.
    """
    with suppress(KeyboardInterrupt):  # Ctrl-C is how a watch ends
        if as_json:
            _watch_json(instance, interval_s, ports, workers)
        else:
            with LiveView(instance, sys.stdout, interval_s, ports, workers) as view:
                view.wait()


def _watch_json(instance: str, interval_s: float, ports: Sequence[str], workers: Sequence[int]) -> None:
    with closing(Follower(instance)) as follower:
        before = follower.look()
        while True:
            time.sleep(interval_s)
            after = follower.look()
            if after.instance.epoch != before.instance.epoch:
                print(f'ttfwd: instance "{instance}" was started again', file=sys.stderr, flush=True)
            _print_json(after, rates(before, after), interval_s, ports, workers)
            if after.instance.state == "stopped" and not follower.is_started_again(_pause):
                return
            before = after


def _pause(seconds: float) -> bool:
    time.sleep(seconds)
    return False


def _print_json(
    snapshot: Snapshot, found: Rates, interval_s: float, ports: Sequence[str], workers: Sequence[int]
) -> None:
    print(json.dumps(stats_json(snapshot, found, interval_s, ports, workers)), flush=True)

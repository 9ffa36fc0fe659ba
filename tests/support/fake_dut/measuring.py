# SPDX-License-Identifier: Apache-2.0
"""The instrument at the ends of a fake device: trials by hand, and trials as `ttfwd bench` runs them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from forwarder.bench.books import Books
from forwarder.bench.external import External
from forwarder.bench.journal import Journal
from forwarder.bench.limits import Limits
from forwarder.bench.runner import Runner
from forwarder.bench.seams import Silent
from forwarder.bench.watched import WatchedMachine
from forwarder.tester.kernel import KernelTester
from forwarder.tester.open import Receiving, Sending, open_tester
from forwarder.tester.traffic import Traffic
from forwarder.tester.trial import Endpoint
from tests.support.fake_dut.device import FakeDut

# A device that drops has no stragglers: a trial needs no long wait for them.
_QUIET_S = 0.05
_PAUSE_S = 0.2  # after a void trial, at most
QUIET = "a CPU that others leave alone"  # CI machines don't always have one: tests/conftest.py
CPU = min(os.sched_getaffinity(0))


Around = Callable[[Any], Any]  # of testers


def ends(dut: FakeDut) -> tuple[Endpoint, Endpoint]:
    (left, left_device), (right, right_device) = dut.left, dut.right
    return Endpoint(left_device, left), Endpoint(right_device, right)


@contextmanager
def instrument(
    dut: FakeDut, traffic: Traffic | None = None, *, sending: Sending = "auto", receiving: Receiving = "xdp"
) -> Iterator[KernelTester]:
    with closing(
        open_tester(
            *ends(dut),
            traffic or Traffic(),
            cpus=[CPU],
            sending=sending,
            receiving=receiving,
            quiet_s=_QUIET_S,
        )
    ) as opened:
        yield opened


@contextmanager
def runner(
    dut: FakeDut, folder: Path, limits: Limits | None = None, around: Around = lambda tester: tester
) -> Iterator[tuple[Runner, Path]]:
    """Who runs trials through the device, and watches the machine meanwhile; and the journal's file."""
    with instrument(dut) as opened, Journal(folder) as journal:
        machine = WatchedMachine([CPU], [], lambda: opened.pids)
        try:
            yield (
                Runner(
                    tester=around(opened),
                    machine=machine,
                    ledger=Books(External(*ends(dut))),
                    journal=journal,
                    progress=Silent(),
                    limits=limits or Limits(),
                    sleep=lambda seconds: time.sleep(min(seconds, _PAUSE_S)),
                ),
                folder / "trials.jsonl",
            )
        finally:
            machine.release()

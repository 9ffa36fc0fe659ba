# SPDX-License-Identifier: Apache-2.0
"""No device under test: the tester's ends are connected to each other."""

from __future__ import annotations

from forwarder.bench.dut import Account, Cost, shown
from forwarder.errors import UsageError
from forwarder.results import model
from forwarder.tester.trial import Endpoint


class NoDut:
    def __init__(self, first: Endpoint, second: Endpoint) -> None:
        self.endpoints = (first, second)
        self.cpus: tuple[int, ...] = ()
        self.pids: frozenset[int] = frozenset()
        self.gives_reasons = True  # nothing can be lost inside

    def describe(self) -> model.Dut:
        first, second = self.endpoints
        return model.Dut(kind="none", title="none: the tester alone", devices=(shown(first), shown(second)))

    def account(self, whole: bool = True) -> Account:
        return Account()

    def spent(self, cost: Cost) -> None: ...

    def restart(self) -> None:
        raise UsageError("there is no device under test to start anew")

    def close(self) -> None: ...

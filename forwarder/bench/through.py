# SPDX-License-Identifier: Apache-2.0
"""A tester through a DUT that may be started anew: its devices are others then, and so is the tester."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from forwarder.bench.dut import Dut
from forwarder.deferred import signals_deferred
from forwarder.results import model
from forwarder.tester.trial import Endpoint, Load, Sent, Tester

Open = Callable[[Endpoint, Endpoint], Tester]


class Through:
    """To the runner a Tester, to the tests the device under test. Owns the tester, not the DUT."""

    def __init__(self, dut: Dut, open_tester: Open) -> None:
        self._dut = dut
        self._open = open_tester
        self._tester: Tester | None = None
        self._reopen()

    @property
    def pids(self) -> frozenset[int]:
        """Of the tester and of the DUT."""
        return self._dut.pids | (self._tester.pids if self._tester else frozenset())

    @property
    def sending(self) -> Literal["xdp", "xdp+tc", "packet"]:
        return self._opened.sending

    @property
    def timestamps(self) -> Literal["kernel", "nic"]:
        return self._opened.timestamps

    @property
    def _opened(self) -> Tester:
        assert self._tester is not None
        return self._tester

    def trial(self, load: Load, rest: Callable[[], None]) -> Sent:
        return self._opened.trial(load, rest)

    def restart(self) -> None:
        """Start the DUT anew, with a tester at its new devices. Raises TtfwdError; UsageError: not ours."""
        self.close()
        self._dut.restart()
        self._reopen()

    def _reopen(self) -> None:
        with signals_deferred():
            self._tester = self._open(*self._dut.endpoints)

    def describe(self) -> model.Dut:
        return self._dut.describe()

    def close(self) -> None:
        with signals_deferred():
            if self._tester is not None:
                self._tester.close()
                self._tester = None

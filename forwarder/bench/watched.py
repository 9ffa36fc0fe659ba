# SPDX-License-Identifier: Apache-2.0
"""The machine during a trial. This process stays on the tester's CPUs meanwhile: it isn't foreign there."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection

from forwarder.host.disturbance import Watch
from forwarder.results.model import Disturbance


class WatchedMachine:
    """The CPUs of tester and DUT, from begin() to end()."""

    def __init__(
        self, tester_cpus: Collection[int], dut_cpus: Collection[int], pids: Callable[[], Collection[int]]
    ) -> None:
        self._tester_cpus = frozenset(tester_cpus)
        self._cpus = self._tester_cpus | frozenset(dut_cpus)
        self._pids = pids  # of tester and DUT
        self._allowed = os.sched_getaffinity(0)
        self._watch: Watch | None = None

    def begin(self) -> None:
        os.sched_setaffinity(0, self._tester_cpus)
        self._watch = Watch(self._cpus, {os.getpid(), *self._pids()})

    def end(self) -> Disturbance:
        assert self._watch is not None
        found = self._watch.end(started=self._pids())
        self.release()
        return found

    def release(self) -> None:
        """Let this process run where it ran before: what it starts inherits that."""
        os.sched_setaffinity(0, self._allowed)

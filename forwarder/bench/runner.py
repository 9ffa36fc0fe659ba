# SPDX-License-Identifier: Apache-2.0
"""One trial with all that surrounds it. It is repeated until one counts.

The machine and the books are read before and after. A trial that the machine disturbed is void. It is
journalled as any other. Then it is repeated after a pause, as most disturbances pass. The pauses get longer.
After ten void trials in a row the machine is too noisy to go on. A runner may allow noise instead, after
three: a first look should end with figures.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime

from forwarder.bench.journal import Journal
from forwarder.bench.limits import Limits, void
from forwarder.bench.seams import Ledger, Machine, Progress
from forwarder.bench.verdict import verdict
from forwarder.errors import TtfwdError
from forwarder.results.model import Disturbance, Trial
from forwarder.tester.trial import Load, Tester

# After the first void trial, the second one and so on.
PAUSES_S = (0.0, 0.0, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0, 8.0)
VOID_IN_A_ROW = len(PAUSES_S) + 1
# Of a runner that allows noise then.
FEW_PAUSES_S = (0.0, 0.0)


class TooNoisy(TtfwdError):
    """Nothing can be measured here now."""

    def __init__(self, last: Trial) -> None:
        super().__init__(
            f"{VOID_IN_A_ROW} trials in a row are void; the last one: {'; '.join(last.void)} "
            "(`ttfwd doctor` looks for causes; --allow-noise lets such trials count)"
        )


def rfc3339() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class Runner:
    def __init__(
        self,
        *,
        tester: Tester,
        machine: Machine,
        ledger: Ledger,
        journal: Journal,
        progress: Progress,
        limits: Limits,
        noise_comes: Callable[[], None] | None = None,
        now: Callable[[], str] = rfc3339,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`noise_comes`: called when the machine doesn't get quiet. From then on disturbed trials count.
        None: trial() raises TooNoisy.
        """
        self.progress = progress
        self.run = 1  # the DUT's start that trials belong to
        self._tester = tester
        self._machine = machine
        self._ledger = ledger
        self._journal = journal
        self._limits = limits
        self._noise_comes = noise_comes
        self._now = now
        self._sleep = sleep
        self._seen = Disturbance()  # of the trial that is under way, once all is sent

    @property
    def noise_allowed(self) -> bool:
        return self._limits.noise_allowed

    def trial(
        self, load: Load, purpose: str, around: Callable[[], AbstractContextManager[object]] = nullcontext
    ) -> Trial:
        """A trial that counts. `around` makes a context for it, and for each void one before it.

        Raises TooNoisy, TtfwdError (a device is gone, the disk is full).
        """
        for pause_s in (*(FEW_PAUSES_S if self._noise_comes else PAUSES_S), None):
            with around():
                trial = self._attempt(load, purpose)
            if not trial.void:
                return trial
            if pause_s is not None:
                self._sleep(pause_s)
        if self._noise_comes is None:
            raise TooNoisy(trial)
        self._noise_comes()
        self._noise_comes = None
        self._limits = Limits.none()
        return self.trial(load, purpose, around)

    def _rest(self) -> None:
        self._seen = self._machine.end()
        self._ledger.rest()

    def _attempt(self, load: Load, purpose: str) -> Trial:
        """One trial, in the journal, void or not."""
        self.progress.begins(load, purpose)
        started = self._now()
        self._ledger.begin()
        self._machine.begin()
        sent = self._tester.trial(load, self._rest)
        seen = self._seen
        lost = self._ledger.place(sent)
        step_ns = sent.clock_step_ns if sent.clock_step_ns is not None else seen.clock_step_ns
        disturbance = seen.model_copy(update={"preemptions": sent.preemptions, "clock_step_ns": step_ns})
        reasons = void(load, sent.ways, disturbance, self._limits)
        trial = Trial(
            number=self._journal.next_number,
            started=started,
            purpose=purpose,
            run=self.run,
            intended_per_s=load.per_s,
            duration_s=load.duration_s,
            whole_s=sent.whole_s,
            ways=sent.ways,
            lost=lost,
            void=reasons,
            verdict=verdict(load, sent.ways, lost, reasons, self.noise_allowed),
            disturbance=disturbance,
        )
        self._journal.add(trial)
        self.progress.ended(trial)
        return trial

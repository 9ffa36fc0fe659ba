# SPDX-License-Identifier: Apache-2.0
"""What the engine of `bench` needs of others: a device under test, its books, the machine, a terminal.

The runner calls begin() of Ledger and Machine right before each trial. Once all is sent, and before the
tester counts what arrived, it calls end() and rest(). They are used by one trial at a time.
"""

from __future__ import annotations

from typing import Protocol

from forwarder.results.model import Disturbance, Dut, Lost, Trial
from forwarder.tester.trial import Load, Sent


class DeviceUnderTest(Protocol):
    """Whatever forwards: an instance that bench started, one that runs already, or something external."""

    def restart(self) -> None:
        """Stop it, and start it anew. Raises UsageError if it isn't ours to restart, TtfwdError."""
        ...

    def describe(self) -> Dut:
        """What the result says of it. Called at the end, too, after a trial that killed it."""
        ...


class Ledger(Protocol):
    """The books of the DUT and of the devices: they tell where the frames of a trial were lost."""

    def begin(self) -> None:
        """Read all counters. Raises TtfwdError if the DUT or a device is gone."""
        ...

    def rest(self) -> None:
        """Wait until the DUT holds no frame any more, and read them again. Raises as begin()."""
        ...

    def place(self, sent: Sent) -> Lost:
        """Give each frame that was sent and not received a place."""
        ...


class Machine(Protocol):
    """What others did to the CPUs of tester and DUT."""

    def begin(self) -> None: ...

    def end(self) -> Disturbance:
        """Ratios of the time since begin(). What the machine doesn't tell is None."""
        ...


class Progress(Protocol):
    """Told what goes on. It shows that, or doesn't. It raises nothing."""

    def doing(self, what: str) -> None:
        """What isn't a trial, and takes a while."""
        ...

    def begins(self, load: Load, purpose: str) -> None: ...

    def ended(self, trial: Trial) -> None:
        """A trial was journalled, void or not."""
        ...

    def bounds(self, goal: str, lower_per_s: float | None, upper_per_s: float | None) -> None:
        """What a search knows of a goal by now."""
        ...

    def left(self, seconds: float | None) -> None:
        """About how long the search still takes; None where that isn't known."""
        ...


class Silent:
    """Progress that nobody sees."""

    def doing(self, what: str) -> None: ...

    def begins(self, load: Load, purpose: str) -> None: ...

    def ended(self, trial: Trial) -> None: ...

    def bounds(self, goal: str, lower_per_s: float | None, upper_per_s: float | None) -> None: ...

    def left(self, seconds: float | None) -> None: ...

# SPDX-License-Identifier: Apache-2.0
"""What a tester is asked, and what it answers: plain data between the tester's datapath and the tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from forwarder.results.model import Way


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A device that the tester sends by and receives from."""

    device: str
    netns: str | None = None  # None: the tester's own


@dataclass(frozen=True, slots=True)
class Load:
    """One trial's load: each direction at the same rate."""

    per_s: float  # frames a second in each direction
    duration_s: float
    burst_frames: int | None = None  # so many frames as fast as can be, instead of a rate and a duration


@dataclass(frozen=True, slots=True)
class Books:
    """Counters of the tester's devices during a trial, for placing losses. Each by direction, frames."""

    refused: tuple[int, ...]  # handed to the device that sends, and refused by it
    arrived: tuple[int, ...]  # counted by the device that receives
    receiver_dropped: tuple[int, ...]  # arrived, and dropped before the receiver saw them


@dataclass(frozen=True, slots=True)
class Sent:
    """One trial, as the tester saw it."""

    ways: tuple[Way, ...]
    books: Books
    whole_s: float
    preemptions: int  # of the generator
    clock_step_ns: int | None  # of REALTIME against MONOTONIC; None where no REALTIME stamp is used


class Tester(Protocol):
    """Two endpoints, traffic between them, and a generator and a receiver that are ready."""

    @property
    def pids(self) -> frozenset[int]:
        """Processes of its own, which run on its CPUs as long as it is open."""
        ...

    @property
    def sending(self) -> Literal["xdp", "xdp+tc", "packet"]:
        """By what frames are sent: the result names it."""
        ...

    @property
    def timestamps(self) -> Literal["kernel", "nic"]:
        """By whom frames that are received are stamped."""
        ...

    def trial(self, load: Load, rest: Callable[[], None]) -> Sent:
        """Send, wait for stragglers, and count.

        `rest`: waits until the DUT holds no frame. It may have got no CPU for longer than stragglers are
        waited for. Raises what `rest` does, TtfwdError (a device vanished), KeyboardInterrupt.
        """
        ...

    def close(self) -> None: ...

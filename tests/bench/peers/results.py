# SPDX-License-Identifier: Apache-2.0
"""The samples by peer, their medians, and which peers were limited by the generator. Pure.

A sample is one figure's raw numbers from one round. Rates are per second of wall time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from forwarder.bench.publishable import RUNS, few_starts
from forwarder.results.model import GoalRun, Latency, Result
from tests.bench.rounds import Sample, Spread

# Conventional frame sizes: they include 4 bytes of frame check sequence, which no device here carries.
SIZES_BYTES = (64, 594, 1518)
FCS_BYTES = 4
STREAMS = (1, 8)
# Of the offered packets. A peer that loses less could forward more.
GENERATOR_LIMITED_LOSS = 0.01


@dataclass(frozen=True)
class RateSample(Sample):
    """A forwarder under load for a while. Offered: packets given to the source's device in that time."""

    offered_packets: int

    @property
    def loss(self) -> float:
        """The undelivered part of the offered packets. Packets that still queue make it inexact."""
        return max(0.0, 1 - self.delivered_packets / self.offered_packets) if self.offered_packets else 0.0

    @property
    def cpu_cores(self) -> float:
        return self.cpu_ns / self.wall_ns


@dataclass(frozen=True)
class TcpSample:
    """One run of iperf3: received payload, and CPU time of the forwarder and of all other participants."""

    received_bytes: int
    wall_s: float
    forwarder_cpu_ns: int
    others_cpu_ns: int  # iperf3's two ends, and ksoftirqd of their CPU

    @property
    def gbit_per_s(self) -> float:
        return self.received_bytes * 8 / self.wall_s / 1e9

    @property
    def forwarder_cpu_s_per_gb(self) -> float:
        """Of 10^9 bytes."""
        return self.forwarder_cpu_ns / self.received_bytes

    @property
    def all_cpu_s_per_gb(self) -> float:
        return (self.forwarder_cpu_ns + self.others_cpu_ns) / self.received_bytes


@dataclass
class PeerResult:
    """All samples of one peer, one per round. `error`: the reason why there are no more."""

    key: str
    title: str
    ports: str
    polls: bool
    bills_senders: bool = False
    saturated: dict[int, list[RateSample]] = field(default_factory=dict)  # by size
    paced: list[RateSample] = field(default_factory=list)
    packets_per_syscall: list[float] = field(default_factory=list)
    tcp: dict[int, list[TcpSample]] = field(default_factory=dict)  # by number of streams
    measured: list[Result] = field(default_factory=list)  # by the instrument
    unmeasured: list[str] = field(default_factory=list)  # why it has no result of a round
    error: str | None = None

    def at_saturation(self, size_bytes: int, figure: Callable[[RateSample], float]) -> Spread | None:
        return _spread(figure(sample) for sample in self.saturated.get(size_bytes, ()))

    def at_pace(self, figure: Callable[[RateSample], float]) -> Spread | None:
        return _spread(figure(sample) for sample in self.paced)

    def with_streams(self, streams: int, figure: Callable[[TcpSample], float]) -> Spread | None:
        return _spread(figure(sample) for sample in self.tcp.get(streams, ()))

    def syscalls(self) -> Spread | None:
        """Delivered packets per system call."""
        return _spread(self.packets_per_syscall)

    def runs(self) -> list[GoalRun]:
        """One search in each round that the instrument measured."""
        return [run for result in self.measured for goal in result.goals for run in goal.runs]

    def pdr_per_s(self) -> Spread | None:
        """The lower bounds of regular searches; only where there is none, of all that have one."""
        found = [(run.regular, run.lower_per_s) for run in self.runs() if run.lower_per_s is not None]
        return _spread([per_s for regular, per_s in found if regular] or [per_s for _, per_s in found])

    def latency(self, percent: int, figure: Callable[[Latency], int | None]) -> Spread | None:
        """At a part of the PDR. Where the instrument couldn't tell in any round, it is None."""
        rows = [row for result in self.measured for row in result.latency if row.load == f"pdr_{percent}"]
        return _spread(value for row in rows if (value := figure(row)) is not None)

    def why_not(self) -> tuple[str, ...]:
        """What stands against publishing, of every round. Each of them starts the peer anew."""
        reasons = list(self.unmeasured)
        for result in self.measured:
            alone = {few_starts(goal.name, len(goal.runs)) for goal in result.goals}
            reasons += [reason for reason in result.why_not if reason not in alone]
        starts = len(self.runs())
        if self.measured and starts < RUNS:
            reasons += [few_starts(goal.name, starts) for goal in self.measured[0].goals]
        return tuple(dict.fromkeys(reasons))

    @property
    def publishable(self) -> bool:
        return bool(self.measured) and not self.why_not()

    def generator_limited(self, size_bytes: int) -> bool:
        """It could forward more. If it polls, its CPU time per packet is an upper bound."""
        loss = self.at_saturation(size_bytes, lambda sample: sample.loss)
        return loss is not None and loss.median < GENERATOR_LIMITED_LOSS


def _spread(values: Iterable[float]) -> Spread | None:
    found = list(values)
    return Spread.of(found) if found else None

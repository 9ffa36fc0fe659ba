# SPDX-License-Identifier: Apache-2.0
"""The samples by peer, their medians, and which peers were limited by the generator. Pure.

A sample is one figure's raw numbers from one round. Rates are per second of wall time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

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

    def generator_limited(self, size_bytes: int) -> bool:
        """It could forward more. If it polls, its CPU time per packet is an upper bound."""
        loss = self.at_saturation(size_bytes, lambda sample: sample.loss)
        return loss is not None and loss.median < GENERATOR_LIMITED_LOSS


def _spread(values: Iterable[float]) -> Spread | None:
    found = list(values)
    return Spread.of(found) if found else None

# SPDX-License-Identifier: Apache-2.0
"""The bars: ttfwd's targets beside its peers, and whether it met them. Pure.

A bar compares one figure with the best rival's, the one with the best median. The ratio is the median of the
ratios within each round. A bar whose subject or rivals weren't measured is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tests.bench.peers.results import SIZES_BYTES, STREAMS, PeerResult
from tests.bench.rounds import Spread

_TAPS = ("testpmd-net_tap", "ovs-tap")
_PACKET_SOCKETS = ("testpmd-net_af_packet", "ovs-af_packet")
_USERSPACE = (
    *_TAPS,
    *_PACKET_SOCKETS,
    "testpmd-net_af_xdp",
    "ovs-tap-tso",
    "ovs-af_packet-tso",
)

Figure = Callable[[PeerResult], Sequence[float]]


def _small_packet_ns(result: PeerResult) -> Sequence[float]:
    return [sample.ns_per_packet for sample in result.saturated.get(SIZES_BYTES[0], ())]


def _tcp_gbit_per_s(result: PeerResult) -> Sequence[float]:
    return [sample.gbit_per_s for sample in result.tcp.get(STREAMS[0], ())]


def _tcp_cpu_s_per_gb(result: PeerResult) -> Sequence[float]:
    return [sample.all_cpu_s_per_gb for sample in result.tcp.get(STREAMS[0], ())]


@dataclass(frozen=True)
class Bar:
    """At most `limit` times the rival's figure, or at least if more is better."""

    subject: str
    rivals: Sequence[str]
    what: str
    figure: Figure
    limit: float
    more_is_better: bool = False

    def best_of(self, rivals: Sequence[PeerResult]) -> PeerResult:
        better = max if self.more_is_better else min
        return better(rivals, key=lambda rival: Spread.of(self.figure(rival)).median)

    def met(self, ratio: float) -> bool:
        return ratio >= self.limit if self.more_is_better else ratio <= self.limit


_COST = f"CPU time per {SIZES_BYTES[0]} B packet"
BARS = (
    Bar("ttfwd-tap", _TAPS, _COST, _small_packet_ns, 1.00),
    Bar("ttfwd-uring", _TAPS, _COST, _small_packet_ns, 0.80),
    Bar("ttfwd-packet", _PACKET_SOCKETS, _COST, _small_packet_ns, 0.90),
    Bar("ttfwd-tap", ("ttfwd-tap-no-offload",), "TCP, Gbit/s", _tcp_gbit_per_s, 5.0, more_is_better=True),
    Bar("ttfwd-tap", _USERSPACE, "TCP, Gbit/s", _tcp_gbit_per_s, 1.0, more_is_better=True),
    Bar("ttfwd-tap", ("linux-bridge",), "TCP, all CPU time per GB", _tcp_cpu_s_per_gb, 2.0),
)


@dataclass(frozen=True)
class Outcome:
    """A bar's outcome against the best rival."""

    bar: Bar
    subject: str  # titles
    rival: str
    ratio: Spread

    @property
    def met(self) -> bool:
        return self.bar.met(self.ratio.median)


def outcomes(results: Sequence[PeerResult], bars: Sequence[Bar] = BARS) -> Iterator[Outcome]:
    by_key = {result.key: result for result in results}
    for bar in bars:
        subject = by_key.get(bar.subject)
        rivals = [by_key[key] for key in bar.rivals if key in by_key and bar.figure(by_key[key])]
        if subject is None or not rivals or not bar.figure(subject):
            continue
        rival = bar.best_of(rivals)
        # A peer that failed midway has only the first rounds.
        pairs = zip(bar.figure(subject), bar.figure(rival), strict=False)
        yield Outcome(bar, subject.title, rival.title, Spread.of([mine / theirs for mine, theirs in pairs]))

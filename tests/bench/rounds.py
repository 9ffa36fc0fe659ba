# SPDX-License-Identifier: Apache-2.0
"""Alternating rounds, and what they say.

A round measures every variant once under every load, in an order that turns from round to round. A ratio is
always of two measurements of one round; what is reported is the median over the rounds and the spread.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from tests.bench import cpu_time
from tests.bench.forwarders import Forwarder, check_accounts
from tests.bench.lab import Lab
from tests.bench.load import FORWARDER_CPU, Generator, Load
from tests.bench.programs import ProgramError

_SETTLE_S = 0.15


@dataclass(frozen=True)
class Sample:
    """One variant under one load in one round."""

    cpu_ns: int
    delivered_packets: int
    wall_ns: int

    @property
    def ns_per_packet(self) -> float:
        return self.cpu_ns / self.delivered_packets

    @property
    def packets_per_s(self) -> float:
        return self.delivered_packets * 1e9 / self.wall_ns


@dataclass(frozen=True)
class Spread:
    """Median, least and most."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(statistics.median(values), min(values), max(values))


@dataclass(frozen=True)
class Variant:
    """One way to forward.

    `flows` finds the flows to send, once it runs; None: one flow. `verify` looks, before it ends, whether the
    packets that were delivered went the way that is measured.
    """

    name: str
    run: Callable[[Lab], AbstractContextManager[Forwarder]]
    flows: Callable[[Forwarder], Sequence[int]] | None = None
    verify: Callable[[Forwarder, int], None] | None = None


@dataclass(frozen=True)
class Bar:
    """At most so many times the baseline."""

    subject: str
    ratio: float


@dataclass(frozen=True)
class Case:
    """Variants under the same loads, the first one being the baseline."""

    key: str
    title: str
    variants: Sequence[Variant]
    loads: Sequence[Load]
    source: str  # the device that the generator sends into
    sink: str  # the device whose rx counter says what was delivered
    bar: Bar


@dataclass
class Result:
    """All samples of a case, by load and variant, one a round."""

    case: Case
    samples: dict[Load, dict[str, list[Sample]]] = field(default_factory=dict)

    def ns_per_packet(self, load: Load, variant: str) -> Spread:
        return Spread.of([sample.ns_per_packet for sample in self.samples[load][variant]])

    def packets_per_s(self, load: Load, variant: str) -> Spread:
        return Spread.of([sample.packets_per_s for sample in self.samples[load][variant]])

    def ratio(self, load: Load, variant: str) -> Spread:
        of_load = self.samples[load]
        baseline = of_load[self.case.variants[0].name]
        pairs = zip(of_load[variant], baseline, strict=True)
        return Spread.of([mine.ns_per_packet / theirs.ns_per_packet for mine, theirs in pairs])

    def meets_bar(self, load: Load) -> bool:
        return self.ratio(load, self.case.bar.subject).median <= self.case.bar.ratio


class Bench:
    """Measures cases in one lab."""

    def __init__(self, lab: Lab, generator_of: Callable[[str], Generator], rounds: int, window_s: float) -> None:
        self._lab = lab
        self._generator_of = generator_of
        self._rounds = rounds
        self._window_s = window_s
        self._kernel_threads = cpu_time.softirq_threads([FORWARDER_CPU])

    def measure(self, case: Case, progress: Callable[[str], None]) -> Result:
        samples: Mapping[Load, dict[str, list[Sample]]] = {
            load: {variant.name: [] for variant in case.variants} for load in case.loads
        }
        for number in range(self._rounds):
            for variant in _turned(case.variants, number):
                progress(f"{case.key}: round {number + 1} of {self._rounds}, {variant.name}")
                for load, sample in self._life(case, variant):
                    samples[load][variant.name].append(sample)
        return Result(case, dict(samples))

    def _life(self, case: Case, variant: Variant) -> Iterator[tuple[Load, Sample]]:
        """One life of a forwarder: each load once."""
        before = self._lab.delivered(case.sink)
        with variant.run(self._lab) as forwarder:
            flows = variant.flows(forwarder) if variant.flows else (0,)
            for load in case.loads:
                with self._generator_of(case.source).offering(load, flows):
                    yield load, self._sample(case, forwarder)
                self._wait_until_quiet(case)
            delivered = self._lab.delivered(case.sink) - before  # a device that the forwarder made: from 0
            check_accounts(forwarder, delivered)
            if variant.verify:
                variant.verify(forwarder, delivered)

    def _sample(self, case: Case, forwarder: Forwarder) -> Sample:
        pids = (*forwarder.pids, *self._kernel_threads)
        time.sleep(_SETTLE_S)
        began = self._moment(case.sink, pids)
        time.sleep(self._window_s)
        ended = self._moment(case.sink, pids)
        cpu_ns, delivered, wall_ns = (end - begin for begin, end in zip(began, ended, strict=True))
        if delivered <= 0:
            raise ProgramError(f"{case.key}: nothing was delivered to {case.sink}")
        return Sample(cpu_ns, delivered, wall_ns)

    def _moment(self, sink: str, pids: Sequence[int]) -> tuple[int, int, int]:
        return cpu_time.total_ns(pids), self._lab.delivered(sink), time.monotonic_ns()

    def _wait_until_quiet(self, case: Case) -> None:
        """Nothing that was offered is still on its way."""
        seen = -1
        while (now := self._lab.delivered(case.sink)) != seen:
            seen = now
            time.sleep(0.02)


def _turned(variants: Sequence[Variant], number: int) -> Sequence[Variant]:
    turn = number % len(variants)
    return [*variants[turn:], *variants[:turn]]

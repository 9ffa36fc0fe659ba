# SPDX-License-Identifier: Apache-2.0
"""Alternating rounds, and their ratios.

All variants of a case run side by side, each between its own devices. All but the measured one are stopped
(SIGSTOP). A round measures each once, within fractions of a second, and the order rotates from round to
round. A ratio compares two measurements of one round. The report has the median and the spread over the
rounds. The variants are restarted after some rounds, as the placement of their memory makes a difference,
too.
"""

from __future__ import annotations

import os
import signal
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import astuple, dataclass, field

from tests.bench import cpu_time
from tests.bench.forwarders import Forwarder, check_accounts
from tests.bench.lab import Devices, Lab
from tests.bench.load import FORWARDER_CPU, Aim, Generator, Load, Paced, Queued, Saturated
from tests.bench.programs import ProgramError, Programs

_SETTLE_S = 0.05
_LOOK_S = 0.005
_QUIET_LOOKS = 10  # this long without a packet: none is in flight
_WARM_UP_ROUNDS = 2  # queued packets, to touch all memory first
_PATIENCE_S = 5.0
_ATTEMPTS = 5


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
    """Median, quartiles, minimum and maximum."""

    median: float
    quartile_1: float
    quartile_3: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        quartiles = statistics.quantiles(values, method="inclusive") if len(values) > 1 else [values[0]] * 3
        return cls(statistics.median(values), quartiles[0], quartiles[2], min(values), max(values))

    def scaled(self, factor: float) -> Spread:
        """In another unit."""
        return Spread(*(value * factor for value in astuple(self)))


@dataclass(frozen=True)
class Variant:
    """One way to forward.

    `aims` chooses the load once the variant runs. None: one flow into queue 0. `verify` checks before the end
    that the delivered packets took the measured way.
    """

    name: str
    run: Callable[[Lab, Devices], AbstractContextManager[Forwarder]]
    aims: Callable[[Forwarder, Generator], Sequence[Aim]] | None = None
    verify: Callable[[Forwarder, int], None] | None = None


@dataclass(frozen=True)
class Bar:
    """The limit, as a multiple of the baseline."""

    subject: str
    ratio: float


@dataclass(frozen=True)
class Case:
    """Variants under the same loads. The first one is the baseline."""

    key: str
    title: str
    variants: Sequence[Variant]
    loads: Sequence[Load]
    bar: Bar
    veths: bool = False  # instead of the forwarder's taps


@dataclass
class Result:
    """All samples of a case, by load and variant, one per round."""

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


@dataclass(frozen=True)
class _Subject:
    """A variant that runs or is stopped."""

    variant: Variant
    forwarder: Forwarder
    devices: Devices
    generator: Generator
    aims: Sequence[Aim]
    delivered_before: int


@dataclass(frozen=True)
class Plan:
    """How often and for how long."""

    lives: int
    rounds_a_life: int
    window_s: float

    @property
    def rounds(self) -> int:
        return self.lives * self.rounds_a_life


class Bench:
    """Measures cases in one lab."""

    def __init__(self, lab: Lab, programs: Programs, plan: Plan) -> None:
        self._lab = lab
        self._programs = programs
        self._plan = plan
        self._kernel_threads = cpu_time.softirq_threads([FORWARDER_CPU])

    def measure(self, case: Case, progress: Callable[[str], None]) -> Result:
        result = Result(case, {load: {variant.name: [] for variant in case.variants} for load in case.loads})
        for life in range(self._plan.lives):
            with ExitStack() as running:
                subjects = [
                    self._started(case, number, variant, running)
                    for number, variant in enumerate(case.variants)
                ]
                self._warm_up(case, subjects)
                for number in range(self._plan.rounds_a_life):
                    done = life * self._plan.rounds_a_life + number
                    progress(f"{case.key}: round {done + 1} of {self._plan.rounds}")
                    for load in case.loads:
                        for subject in _turned(subjects, number):
                            result.samples[load][subject.variant.name].append(self._sample(load, subject))
                for subject in subjects:
                    self._finish(subject)
        return result

    def _started(self, case: Case, number: int, variant: Variant, running: ExitStack) -> _Subject:
        devices = Devices.veths(number) if case.veths else Devices.taps(number)
        if case.veths:
            running.enter_context(self._lab.veths(devices))
        delivered = self._lab.delivered(devices.sink)  # a tap that doesn't exist yet: no counters
        forwarder = running.enter_context(variant.run(self._lab, devices))
        # Stopped processes must continue before they can end.
        running.callback(_signal_all, forwarder, signal.SIGCONT)
        queued = [load.packets for load in case.loads if isinstance(load, Queued)]
        if queued and not case.veths:
            self._lab.set_queue_length(devices.left, max(queued))
        generator = Generator(self._programs, self._lab, devices.source)
        aims = variant.aims(forwarder, generator) if variant.aims else (Aim(),)
        _signal_all(forwarder, signal.SIGSTOP)
        return _Subject(variant, forwarder, devices, generator, aims, delivered)

    def _warm_up(self, case: Case, subjects: Sequence[_Subject]) -> None:
        for load in case.loads:
            for subject in subjects:
                for _ in range(_WARM_UP_ROUNDS if isinstance(load, Queued) else 0):
                    self._sample(load, subject)

    def _finish(self, subject: _Subject) -> None:
        _signal_all(subject.forwarder, signal.SIGCONT)
        self._wait_until_quiet(subject)
        delivered = self._lab.delivered(subject.devices.sink) - subject.delivered_before
        check_accounts(subject.forwarder, delivered)
        if subject.variant.verify:
            subject.variant.verify(subject.forwarder, delivered)
        _signal_all(subject.forwarder, signal.SIGSTOP)

    def _sample(self, load: Load, subject: _Subject) -> Sample:
        """Repeat a measurement if the forwarder or the generator got no CPU time at all."""
        for _ in range(_ATTEMPTS):
            match load:
                case Queued():
                    sample = self._emptying(load, subject)
                case Saturated() | Paced():
                    sample = self._under_load(load, subject)
            if sample is not None:
                return sample
        counters = self._lab.counters(subject.devices.source)
        raise ProgramError(f"{subject.variant.name}, {load.name}: no measurement; source: {counters}")

    def _under_load(self, load: Saturated | Paced, subject: _Subject) -> Sample | None:
        before = self._lab.delivered(subject.devices.sink)
        _signal_all(subject.forwarder, signal.SIGCONT)
        with subject.generator.offering(load):
            self._wait_until_moving(subject, before)
            time.sleep(_SETTLE_S)
            sample = self._window(subject, self._plan.window_s)
        _signal_all(subject.forwarder, signal.SIGSTOP)
        return sample if sample.delivered_packets else None

    def _emptying(self, load: Queued, subject: _Subject) -> Sample | None:
        """Measure from a full queue to an empty one. The forwarder sleeps then, so the rest costs nothing."""
        before = self._lab.delivered(subject.devices.sink)
        subject.generator.fill(load, subject.aims)
        pids = (*subject.forwarder.pids, *self._kernel_threads)
        began = self._moment(subject.devices.sink, pids)
        _signal_all(subject.forwarder, signal.SIGCONT)
        self._wait_until_moving(subject, before)
        self._wait_until_quiet(subject, before + load.packets)
        sample = _difference(began, self._moment(subject.devices.sink, pids))
        _signal_all(subject.forwarder, signal.SIGSTOP)
        return sample if sample.delivered_packets else None

    def _window(self, subject: _Subject, window_s: float) -> Sample:
        pids = (*subject.forwarder.pids, *self._kernel_threads)
        began = self._moment(subject.devices.sink, pids)
        time.sleep(window_s)
        return _difference(began, self._moment(subject.devices.sink, pids))

    def _moment(self, sink: str, pids: Iterable[int]) -> tuple[int, int, int]:
        return cpu_time.total_ns(pids), self._lab.delivered(sink), time.monotonic_ns()

    def _wait_until_moving(self, subject: _Subject, before: int) -> None:
        """Wait until the forwarder got its CPU, which may take time on a busy machine."""
        deadline = time.monotonic() + _PATIENCE_S
        while self._lab.delivered(subject.devices.sink) == before and time.monotonic() < deadline:
            time.sleep(_LOOK_S)

    def _wait_until_quiet(self, subject: _Subject, expected: int | None = None) -> None:
        """Wait until all expected packets were delivered, or none came for some time."""
        seen, unchanged = -1, 0
        while seen != expected and unchanged < _QUIET_LOOKS:
            time.sleep(_LOOK_S)
            now = self._lab.delivered(subject.devices.sink)
            seen, unchanged = now, unchanged + 1 if now == seen else 0


def _difference(began: tuple[int, int, int], ended: tuple[int, int, int]) -> Sample:
    cpu_ns, delivered, wall_ns = (end - begin for begin, end in zip(began, ended, strict=True))
    return Sample(cpu_ns, delivered, wall_ns)


def _signal_all(forwarder: Forwarder, number: signal.Signals) -> None:
    for pid in forwarder.worker_pids:
        os.kill(pid, number)


def _turned(subjects: Sequence[_Subject], number: int) -> Sequence[_Subject]:
    turn = number % len(subjects)
    return [*subjects[turn:], *subjects[:turn]]

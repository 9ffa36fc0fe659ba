# SPDX-License-Identifier: Apache-2.0
"""What depends on moments without neighbours: medians, searches. And what happens when there are neighbours.

The instrument declares trials void in which the machine disturbed it. So a figure that it gives is right on
a busy machine too. If it gives none, the test is skipped, and says why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from math import inf
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from forwarder.bench.context import Bench
from forwarder.bench.external import External
from forwarder.bench.goals import SearchGoal
from forwarder.bench.limits import Limits
from forwarder.bench.parts import Parts
from forwarder.bench.runner import TooNoisy
from forwarder.bench.search import search
from forwarder.results.model import Distribution, GoalRun, Trial
from forwarder.tester.traffic import Traffic
from forwarder.tester.trial import Load, Sent
from tests.support.capabilities import missing
from tests.support.fake_dut.device import Behaviour, Book, FakeDut
from tests.support.fake_dut.measuring import CPU, QUIET, Around, ends, instrument, runner
from tests.support.neighbour import busy_neighbour
from tests.support.simulated import SELFTEST

pytestmark = pytest.mark.alone

# --------------------------------------------------------------------------------------------------- delays

_DELAY_NS = 10_000
_ELSE_NS = 1_000
_WITHIN_NS = 100
_TRIALS = 30
_QUIET_TRIALS = 3
# From the fastest frames to the median: neighbours slow the memory down, and what was delayed most of all.
_QUIET_SPREAD_NS = 150
_WITHIN_BUSY_NS = 500
_FASTEST, _TENTH, _MEDIAN = 0.01, 0.1, 0.5


@dataclass(frozen=True)
class _Delay:
    """What a trial found of a device that delays every other frame by 10 us more than the others."""

    spread_ns: int  # of the others
    off_ns: Mapping[float, float]  # at each quantile: measured, less what the device recorded


def _quantile_ns(buckets: Sequence[tuple[int, int]], quantile: float) -> int:
    left = sum(frames for _, frames in buckets) * quantile
    for highest_ns, frames in buckets:
        left -= frames
        if left <= 0:
            return highest_ns
    raise AssertionError("no frames")


def _delay(path: Distribution, book: Book) -> _Delay:
    halves = (_ELSE_NS + _DELAY_NS) * 0.8
    others = [bucket for bucket in path.buckets if bucket[0] < halves]
    delayed = [bucket for bucket in path.buckets if bucket[0] >= _ELSE_NS + _DELAY_NS]
    return _Delay(
        _quantile_ns(others, _MEDIAN) - _quantile_ns(others, _FASTEST),
        {
            quantile: _quantile_ns(delayed, quantile)
            - _quantile_ns(others, quantile)
            - _DELAY_NS
            - book.excess_ns(quantile)
            for quantile in (_TENTH, _MEDIAN)
        },
    )


def _quiet(delays: Sequence[_Delay]) -> list[_Delay]:
    return [delay for delay in delays if delay.spread_ns < _QUIET_SPREAD_NS]


@pytest.fixture(scope="module")
def delays(only_dut: FakeDut) -> list[_Delay]:
    """Trials until some were quiet. What a neighbour does to delayed frames, it does to the others, too."""
    found: list[_Delay] = []
    with instrument(only_dut) as opened:
        while len(found) < _TRIALS and len(_quiet(found)) < _QUIET_TRIALS:
            only_dut.forward.behave(
                Behaviour(delay_ns=_ELSE_NS + _DELAY_NS, else_delay_ns=_ELSE_NS, delay_every=2)
            )
            path = opened.trial(Load(per_s=40_000, duration_s=0.2)).ways[0].path
            found.append(_delay(path, only_dut.forward.book()))
    return found


def test_a_delay_of_the_fastest_tenth(delays: list[_Delay]) -> None:
    """On any machine: some frames meet hardly any neighbour."""
    assert abs(median(delay.off_ns[_TENTH] for delay in delays)) < _WITHIN_BUSY_NS


def test_a_delay_of_the_median(delays: list[_Delay]) -> None:
    """In quiet trials, within 0.1 us."""
    quiet = _quiet(delays)
    if len(quiet) < _QUIET_TRIALS:
        missing(QUIET)
    assert abs(median(delay.off_ns[_MEDIAN] for delay in quiet)) < _WITHIN_NS


# ------------------------------------------------------------------------------------------------- searches

_LIMIT_PER_S = 300_000
_GOAL = SearchGoal("pdr", 0.005, 0.5, 0.2, 0.2, 0.6, 0.005)
_COARSE = SearchGoal("pdr", 0.005, 0.5, 0.2, 0.2, 0.2, 0.05)
_ATTEMPTS = 40
# The fake device works on the generator's CPU. Nobody takes that from either as long as nothing is left out.
_LIMITS = Limits(foreign_cpu_ratio=inf, steal_ratio=inf)


class _WholeTrials:
    """A tester whose trials leave nothing out: those that do are done again."""

    def __init__(self, tester: Any) -> None:
        self._tester = tester
        self._left = _ATTEMPTS

    def trial(self, load: Load, rest: Callable[[], None]) -> Sent:
        while self._left:
            self._left -= 1
            sent: Sent = self._tester.trial(load, rest)
            if not sum(way.unsent for way in sent.ways):
                return sent
        missing(QUIET)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tester, name)


def _searched(dut: FakeDut, folder: Path, goal: SearchGoal, max_load_per_s: float, around: Around) -> GoalRun:
    with runner(dut, folder, _LIMITS, around) as (runs, _):
        parts = Parts()
        selftest = SELFTEST.model_copy(update={"max_load_per_s": max_load_per_s})
        bench = Bench(Traffic().profile, External(*ends(dut)), runs, selftest, parts)
        search(bench, [goal])
    (run,) = parts.goals[goal]
    return run


def test_a_search_finds_the_limit(dut: FakeDut, tmp_path: Path) -> None:
    """A device that forwards 300,000 a second, whatever it is offered."""
    dut.forward.behave(Behaviour(limit_per_s=_LIMIT_PER_S))
    run = _searched(dut, tmp_path, _GOAL, 400_000, _WholeTrials)
    assert (run.regular, run.verdict) == (True, "dut_limited")
    assert run.conditional_per_s is not None
    assert run.conditional_per_s == pytest.approx(_LIMIT_PER_S, rel=0.005)
    # Where 0.5 % may be lost, so much may be offered.
    offered_per_s = _LIMIT_PER_S / (1 - _GOAL.loss_ratio)
    assert run.lower_per_s == pytest.approx(offered_per_s, rel=0.005)
    assert run.upper_per_s == pytest.approx(offered_per_s, rel=0.01)


def test_the_generators_limit_is_not_the_devices(dut: FakeDut, tmp_path: Path) -> None:
    """More is asked for than any generator can send. The device forwards all that comes."""
    run = _searched(dut, tmp_path, _COARSE, 20e6, lambda tester: tester)
    assert run.verdict == "generator_limited"
    assert dut.forward.book().dropped == 0


# ----------------------------------------------------------------------------------------------- neighbours


def test_a_neighbour_makes_a_trial_void(dut: FakeDut, tmp_path: Path) -> None:
    """Two trials beside a busy loop are void. The third one counts, and is as if they hadn't been."""
    dut.forward.behave(Behaviour(drop_every=100))
    attempts = 0

    @contextmanager
    def around() -> Iterator[None]:
        nonlocal attempts
        attempts += 1
        with busy_neighbour(CPU, nice=-20) if attempts <= 2 else nullcontext():
            yield

    with runner(dut, tmp_path) as (runs, journal):
        try:
            counted = runs.trial(Load(per_s=100_000, duration_s=0.3), "search", around)
        except TooNoisy:
            counted = None  # there were other neighbours
    book = dut.forward.book()
    trials = [Trial.model_validate_json(line) for line in journal.read_text().splitlines()]
    assert [each.verdict for each in trials[:2]] == ["noisy", "noisy"]
    assert all("foreign CPU time" in each.void[0] for each in trials[:2])
    assert sum(way.lost for each in trials for way in each.ways) == book.dropped_every
    assert sum(way.sent for each in trials for way in each.ways) == book.received
    if counted is None:
        missing(QUIET)
    assert counted == trials[-1]
    assert counted.void == ()

# SPDX-License-Identifier: Apache-2.0
"""A tester, a DUT, a machine and books for bench: their truth is known, and their time costs none.

    tester = SimulatedTester(SimulatedDut(capacity_per_s=1.2e6), clock)
    runner = simulated_runner(tester, journal)

A trial advances the clock by its duration and a drain, and counts frames by arithmetic.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from forwarder.bench.context import Bench
from forwarder.bench.journal import Journal
from forwarder.bench.limits import Limits
from forwarder.bench.parts import Parts
from forwarder.bench.runner import Runner
from forwarder.bench.seams import Ledger, Progress, Silent
from forwarder.results.model import (
    Direction,
    Distribution,
    Disturbance,
    Dut,
    Lost,
    Profile,
    Selftest,
    Way,
)
from forwarder.tester.trial import Books, Load, Sent

DRAIN_S = 2.0
QUIET = Disturbance(foreign_cpu_ratio=0.0, steal_ratio=0.0)
DIRECTIONS: tuple[Direction, ...] = ("forward", "backward")
PROFILE = Profile(
    sizes="60",
    mean_frame_bytes=60,
    mean_frame_bytes_with_fcs=64,
    ip=4,
    flows=1,
    flow_order="incremental",
    seed=1,
    directions=1,
)


class SimulatedClock:
    """Seconds."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s

    def pass_s(self, seconds: float) -> None:
        self.now_s += seconds


def distribution(median_ns: int, p999_ns: int, samples: int = 100_000) -> Distribution:
    return Distribution(
        samples=samples,
        min_ns=median_ns // 2,
        mean_ns=median_ns,
        p50_ns=median_ns,
        p90_ns=median_ns,
        p99_ns=median_ns,
        p999_ns=p999_ns,
        max_ns=2 * p999_ns,
    )


@dataclass
class SimulatedDut:
    """Forwards up to `capacity_per_s` in each direction, and drops the rest."""

    capacity_per_s: float = 1.2e6
    noise: float = 0.0  # relative, of a trial's capacity
    stalled: float = 0.0  # share of trials in which it stands still for a hundredth of the time
    duplicates: int = 0  # frames that arrive twice, in each trial and direction
    seed: int = 1
    starts: int = 1
    _random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def forwards(self, load: Load, frames: int) -> int:
        capacity = self.capacity_per_s * (1 + self.noise * self._random.uniform(-1, 1))
        if self._random.random() < self.stalled:
            capacity = min(capacity, load.per_s) * 0.99
        return min(frames, round(capacity * load.duration_s))

    def restart(self) -> None:
        self.starts += 1

    def describe(self) -> Dut:
        return Dut(kind="external", title="simulated", devices=("sim0", "sim1"))


class SimulatedTester:
    """Sends up to `ceiling_per_s` in each direction. `before_trial` may raise, or change what comes."""

    def __init__(
        self,
        dut: SimulatedDut,
        clock: SimulatedClock,
        *,
        ceiling_per_s: float = 2e6,
        directions: int = 1,
        unsent: int = 0,
        before_trial: Callable[[int], None] = lambda number: None,
    ) -> None:
        self.loads: list[Load] = []
        self.unsent = unsent  # frames at the end of each trial and direction
        self.preemptions = 2
        self.lateness_p999_ns = 5_000
        self.pids: frozenset[int] = frozenset()
        self.sending: Literal["xdp", "xdp+tc", "packet"] = "xdp"
        self.timestamps: Literal["kernel", "nic"] = "kernel"
        self._dut = dut
        self.clock = clock
        self._ceiling_per_s = ceiling_per_s
        self._directions = DIRECTIONS[:directions]
        self._before_trial = before_trial

    def trial(self, load: Load, rest: Callable[[], None]) -> Sent:
        self.loads.append(load)
        self._before_trial(len(self.loads))
        self.clock.now_s += load.duration_s + DRAIN_S
        rest()
        none = (0,) * len(self._directions)
        return Sent(
            ways=tuple(self._way(load, direction) for direction in self._directions),
            books=Books(refused=none, arrived=none, receiver_dropped=none),
            whole_s=load.duration_s + DRAIN_S,
            preemptions=self.preemptions,
            clock_step_ns=None,
        )

    def _way(self, load: Load, direction: Direction) -> Way:
        intended = round(load.per_s * load.duration_s)
        able = round(self._ceiling_per_s * load.duration_s)
        behind = able < intended
        sent = min(intended - self.unsent, able)
        late = distribution(10**8, 3 * 10**8) if behind else distribution(60, self.lateness_p999_ns)
        return Way(
            direction=direction,
            intended=intended,
            sent=sent,
            unsent=intended - sent,
            received=self._dut.forwards(load, sent),
            duplicates=self._dut.duplicates,
            path=distribution(2_000, 50_000),
            response=distribution(2_100, 60_000),
            lateness=late,
        )

    def close(self) -> None: ...


class SimulatedMachine:
    """Disturbed as `disturbances` says, one after another; quiet once they are used up."""

    def __init__(self, *disturbances: Disturbance) -> None:
        self.disturbances = list(disturbances)

    def begin(self) -> None: ...

    def end(self) -> Disturbance:
        return self.disturbances.pop(0) if self.disturbances else QUIET


class DutLedger:
    """Books in which the DUT lost whatever didn't arrive."""

    def begin(self) -> None: ...

    def rest(self) -> None: ...

    def place(self, sent: Sent) -> Lost:
        lost = Counter(inside=sum(way.lost for way in sent.ways))
        return Lost(dut={reason: frames for reason, frames in lost.items() if frames})


def simulated_runner(
    tester: SimulatedTester,
    journal: Journal,
    *,
    machine: SimulatedMachine | None = None,
    ledger: Ledger | None = None,
    progress: Progress | None = None,
    limits: Limits | None = None,
    noise_comes: Callable[[], None] | None = None,
) -> Runner:
    return Runner(
        tester=tester,
        machine=machine or SimulatedMachine(),
        ledger=ledger or DutLedger(),
        journal=journal,
        progress=progress or Silent(),
        limits=limits or Limits.of(SELFTEST),
        noise_comes=noise_comes,
        sleep=tester.clock.pass_s,
    )


def selftest_of(max_load_per_s: float) -> Selftest:
    """What a self-test finds that goes well."""
    return Selftest(
        max_load_per_s=max_load_per_s,
        max_load_sizes="60",
        path=distribution(300, 5_000),
        lateness=distribution(60, 5_000),
        limit_lateness_p999_ns=20_000,
        limit_foreign_cpu_ratio=0.05,
        limit_steal_ratio=0.01,
        limit_preemptions_per_s=50.0,
    )


SELFTEST = selftest_of(2e6)


def simulated_bench(runner: Runner, dut: SimulatedDut, *, max_load_per_s: float = 2e6) -> Bench:
    return Bench(profile=PROFILE, dut=dut, runner=runner, selftest=selftest_of(max_load_per_s), parts=Parts())

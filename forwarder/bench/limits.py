# SPDX-License-Identifier: Apache-2.0
"""When a trial is void: the machine disturbed it, so it tells nothing of the DUT. Pure.

Foreign CPU time, steal, and a step of the clock have fixed limits. Lateness and preemptions are compared with
what the self-test found, since the tester alone has some of both on every machine. What the machine doesn't
tell can't void a trial; it stands against publishing (publishable.py).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from forwarder.bench.shortfall import kept_pace, shortfall
from forwarder.results.model import Disturbance, Selftest, Way
from forwarder.tester.trial import Load

FOREIGN_CPU_RATIO = 0.05
STEAL_RATIO = 0.01
CLOCK_STEP_NS = 1000
# A generator that keeps pace, and yet leaves out more than this, stood still for a while. So large a part
# shifts a partial drop rate. A smaller one is counted as lost, as is any frame that isn't sent (RFC 9971).
# It is the least limit: where the tester alone stands still more often, that is.
STALLED_RATIO = 0.001


@dataclass(frozen=True, slots=True)
class Limits:
    """None: before the self-test."""

    lateness_p999_ns: int | None = None
    preemptions_per_s: float | None = None
    foreign_cpu_ratio: float = FOREIGN_CPU_RATIO
    steal_ratio: float = STEAL_RATIO
    unsent_ratio: float = STALLED_RATIO
    noise_allowed: bool = False

    @classmethod
    def none(cls) -> Limits:
        """The user wants figures of a busy machine, too."""
        return cls(foreign_cpu_ratio=math.inf, steal_ratio=math.inf, noise_allowed=True)

    @classmethod
    def of(cls, selftest: Selftest) -> Limits:
        return cls(
            lateness_p999_ns=selftest.limit_lateness_p999_ns,
            preemptions_per_s=selftest.limit_preemptions_per_s,
            foreign_cpu_ratio=selftest.limit_foreign_cpu_ratio,
            steal_ratio=selftest.limit_steal_ratio,
            unsent_ratio=selftest.limit_unsent_ratio,
        )


def void(load: Load, ways: tuple[Way, ...], disturbance: Disturbance, limits: Limits) -> tuple[str, ...]:
    """Why the trial doesn't count; nothing if it does."""
    reasons = [
        *_machine(load, disturbance, limits),
        *(reason for way in ways for reason in _generator(load, way, limits)),
        *(
            f"{way.direction}: {way.received} frames received of {way.sent} sent"
            for way in ways
            if way.lost < 0
        ),
    ]
    return tuple(dict.fromkeys(reasons))


def _machine(load: Load, disturbance: Disturbance, limits: Limits) -> list[str]:
    found = []
    foreign, steal = disturbance.foreign_cpu_ratio, disturbance.steal_ratio
    if foreign is not None and foreign > limits.foreign_cpu_ratio:
        found.append(f"foreign CPU time {foreign:.1%}, limit {limits.foreign_cpu_ratio:.1%}")
    if steal is not None and steal > limits.steal_ratio:
        found.append(f"steal {steal:.1%}, limit {limits.steal_ratio:.1%}")
    step_ns = disturbance.clock_step_ns
    if step_ns is not None and abs(step_ns) > CLOCK_STEP_NS:
        found.append(f"the clock stepped by {step_ns} ns")
    preemptions, per_s = disturbance.preemptions, limits.preemptions_per_s
    if preemptions is not None and per_s is not None:
        allowed = per_s * max(load.duration_s, 1.0)  # a short trial may have the bad luck of a second
        if preemptions > allowed:
            found.append(f"generator preempted {preemptions} times, limit {allowed:.0f}")
    return found


def _generator(load: Load, way: Way, limits: Limits) -> list[str]:
    limit_ns = limits.lateness_p999_ns
    if limit_ns is None or not kept_pace(load, way):
        return []  # it can't send at such a rate: generator_limited, and always late
    found = []
    unsent = shortfall(load, way)
    if unsent > limits.unsent_ratio * way.intended:
        found.append(
            f"{way.direction}: the generator stood still and left out {unsent} of {way.intended} frames"
        )
    late_ns = way.lateness.p999_ns
    if late_ns is not None and late_ns > limit_ns:
        found.append(
            f"{way.direction}: lateness p99.9 {late_ns / 1000:.0f} us, limit {limit_ns / 1000:.0f} us"
        )
    return found

# SPDX-License-Identifier: Apache-2.0
"""What limited a trial, and what limits a goal. Pure.

Unsent frames are the generator's, frames that the DUT had handed over are the receiver's, and those that it
refused or dropped are its own. The largest of these gives the verdict. The DUT is the last of equal ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from forwarder.bench.shortfall import shortfall, tolerated
from forwarder.results.model import Lost, Trial, Verdict, Way
from forwarder.tester.trial import Load


def verdict(
    load: Load, ways: tuple[Way, ...], lost: Lost, void: Sequence[str] = (), noise_allowed: bool = False
) -> Verdict | None:
    """None: nothing limited it, all that was due arrived."""
    if void:
        return "noisy"
    blame: list[tuple[int, Verdict]] = [
        (sum(shortfall(load, way, noise_allowed) for way in ways), "generator_limited"),
        (lost.after_dut + lost.receiver, "receiver_limited"),
        (lost.unexplained, "inconclusive"),
        (lost_by_dut(lost), "dut_limited"),
    ]
    frames, found = max(blame, key=lambda entry: entry[0])
    return found if frames else None


def lost_by_dut(lost: Lost) -> int:
    return lost.before_dut + sum(lost.dut.values())


@dataclass(frozen=True, slots=True)
class Counts:
    """A trial's frames as a search sees them: of all directions, forgiven ones not intended."""

    intended: int
    sent: int
    lost: int
    lost_by_dut: int
    verdict: Verdict | None

    @classmethod
    def of(cls, load: Load, trial: Trial, noise_allowed: bool = False) -> Counts:
        ways = trial.ways
        return cls(
            intended=sum(way.intended - tolerated(load, way, noise_allowed) for way in ways),
            sent=sum(way.sent for way in ways),
            lost=sum(way.lost for way in ways),
            lost_by_dut=lost_by_dut(trial.lost),
            verdict=trial.verdict,
        )

    @property
    def loss_ratio(self) -> float:
        """What wasn't sent counts as lost (RFC 9971)."""
        return (self.lost + self.intended - self.sent) / self.intended if self.intended else 0.0


def limited_by(trials: Sequence[Counts], loss_ratio: float) -> Verdict:
    """Why a load isn't reached: of the trials there that lost more than the goal's ratio, what most say.

    A trial in which the DUT's losses alone are too many says so, even if the generator was short of more.
    """
    said = Counter(
        "dut_limited" if trial.lost_by_dut > loss_ratio * trial.intended else trial.verdict
        for trial in trials
        if trial.loss_ratio > loss_ratio
    )
    most = max(said, key=lambda verdict: said[verdict], default=None)
    return most or "inconclusive"

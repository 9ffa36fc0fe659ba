# SPDX-License-Identifier: Apache-2.0
"""An axis of a chart: from values to a place between 0 and 1, and the ticks to print beside it.

A log axis may have a lane for zero at its beginning, as "nothing was lost" has no logarithm. The axis of
percentiles is logarithmic in what is above: 99 %, 99.9 % and 99.99 % are equally far apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10

_NOTHING = 1e-99  # less than any figure
ZERO_LANE = 0.12  # of the axis' length
_FEW_DECADES = 2.5  # have ticks between them
_FAR_APART = 15


@dataclass(frozen=True, slots=True)
class Axis:
    """`place` gives a value's position, 0 at the beginning and 1 at the end. Ticks: value and label."""

    title: str
    place: Callable[[float], float]
    ticks: tuple[tuple[float, str], ...]


def linear(title: str, low: float, high: float, label: Callable[[float], str], ticks: int = 5) -> Axis:
    """From `low` to the first round number that isn't below `high`."""
    span = next(length for length in (high - low, abs(high), 1.0) if length > _NOTHING)
    step = _round_step(span / ticks)
    first, last = floor(low / step), max(ceil((low + span) / step - 1e-9), floor(low / step) + 1)
    begin, length = first * step, (last - first) * step
    return Axis(
        title,
        lambda value: (value - begin) / length,
        tuple((number * step, label(number * step)) for number in range(first, last + 1)),
    )


def _round_step(rough: float) -> float:
    """The next of 1, 2, 5, 10, 20 ... that isn't below `rough`."""
    power = 10.0 ** floor(log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))


def logarithmic(
    title: str, values: Sequence[float], label: Callable[[float], str], *, zero: str | None = None
) -> Axis:
    """Around the positive `values`, from one of 1, 2, 5, 10, 20 ... to another.

    `zero` is the label of a lane for what isn't positive.
    """
    positive = [value for value in values if value > _NOTHING] or [1.0]
    last = _round_step(max(positive))
    first = min(_round_down(min(positive)), last / 10)
    decades = log10(last / first)
    lane = 0.0 if zero is None else ZERO_LANE

    def place(value: float) -> float:
        if value <= _NOTHING:
            return lane / 3
        return min(max(lane + (1 - lane) * log10(value / first) / decades, 0.0), 1.0)

    factors = (1, 2, 5) if decades < _FEW_DECADES else (1,)
    powers = range(floor(log10(first)), ceil(log10(last)) + 1)
    steps = [factor * 10.0**power for power in powers for factor in factors]
    inside = [(step, label(step)) for step in steps if first * (1 - 1e-9) <= step <= last * (1 + 1e-9)]
    return Axis(title, place, tuple(([(0.0, zero)] if zero is not None else []) + inside))


def _round_down(value: float) -> float:
    """The last of 1, 2, 5, 10, 20 ... that isn't above `value`."""
    power = 10.0 ** floor(log10(value))
    return next(factor * power for factor in (5, 2, 1, 0.5) if factor * power <= value * (1 + 1e-9))


def loads(title: str, values: Sequence[float], label: Callable[[float], str]) -> Axis:
    """From 0 on; logarithmic where the values are so far apart that the small ones would be one."""
    positive = [value for value in values if value > _NOTHING]
    if positive and max(positive) > _FAR_APART * min(positive):
        return logarithmic(title, positive, label)
    return linear(title, 0, max(positive, default=0), label)


def percentiles(title: str, samples: int) -> Axis:
    """Fractions of so many samples. The last of them stands at all but half a sample."""
    nines = log10(max(2 * samples, 10))

    def place(part: float) -> float:
        return -log10(max(1 - part, 10.0**-nines)) / nines

    named = [(0.0, "0"), (0.5, "50 %"), (0.9, "90 %"), (0.99, "99 %")]
    named += [(1 - 10.0**-power, f"99.{'9' * (power - 2)} %") for power in range(3, floor(nines) + 1)]
    return Axis(title, place, tuple(tick for tick in named if 1 - tick[0] >= 10.0**-nines * (1 - 1e-9)))


def rows(ticks: Sequence[tuple[float, str]]) -> Axis:
    """An axis of labelled rows, from the top down."""
    count = len(ticks)
    return Axis("", lambda row: 1 - (row + 0.5) / count, tuple(ticks))

# SPDX-License-Identifier: Apache-2.0
"""A chart as data: axes, and what is drawn on them. svg.py draws it; the sections make it of a result.

Every chart has its own words: a title, and a description that says what it shows to those who don't see it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from forwarder.report.axis import Axis

# Numbers of colours: page.css has their values for light and dark.
BLUE, ORANGE, GREEN, PURPLE, RED, GREY = range(6)

Shape = Literal["dot", "cross", "square"]


@dataclass(frozen=True, slots=True)
class Mark:
    """A point, and the words that a pointer over it shows."""

    x: float
    y: float
    about: str


@dataclass(frozen=True, slots=True)
class Marks:
    """Points of one kind."""

    name: str
    colour: int  # of the palette, see page.css
    marks: tuple[Mark, ...]
    shape: Shape = "dot"


@dataclass(frozen=True, slots=True)
class Line:
    """A curve. Dashes tell curves apart where colours can't."""

    name: str
    colour: int
    points: tuple[tuple[float, float], ...]
    dash: Literal["solid", "dashed", "dotted"] = "solid"


@dataclass(frozen=True, slots=True)
class Interval:
    """Between two bounds, in the row `y`. Without an upper bound it has an open end."""

    low: float
    high: float | None
    y: float
    colour: int
    about: str


@dataclass(frozen=True, slots=True)
class Bar:
    """From the axis' begin to `value`, in the row `y`, with a label at its end."""

    value: float
    y: float
    colour: int
    label: str
    about: str


@dataclass(frozen=True, slots=True)
class Limit:
    """A line across the chart at `x`, with its name."""

    name: str
    x: float


Drawing = Marks | Line | Interval | Bar | Limit


@dataclass(frozen=True, slots=True)
class Chart:
    title: str
    description: str
    x: Axis
    y: Axis
    drawings: tuple[Drawing, ...]
    rows: int | None = None  # a chart of so many labelled rows, instead of one with two scales

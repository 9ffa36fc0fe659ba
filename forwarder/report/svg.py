# SPDX-License-Identifier: Apache-2.0
"""A chart as inline SVG. Its colours are classes of page.css: light, dark and paper each have their own.

A picture that shrinks takes its letters with it. So each chart is drawn twice, for wide and for narrow pages,
and the page shows one of them. No script is needed: what a pointer shows are SVG's own titles.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from forwarder.report.chart import Bar, Chart, Interval, Limit, Line, Mark, Marks, Shape

_LETTER = 6.6  # width of a letter at 12 px, roughly
_ROW, _TALL_ROW = 30, 44
_DASHES = {"solid": "", "dashed": ' stroke-dasharray="7 4"', "dotted": ' stroke-dasharray="2 3"'}


@dataclass(frozen=True, slots=True)
class Size:
    name: str
    width: int
    height: int
    tick_letters: int  # a longer label of a row is cut


WIDE = Size("wide", 720, 320, 26)
NARROW = Size("narrow", 340, 280, 13)


def draw(chart: Chart, identity: str) -> str:
    """Both drawings of a chart; `identity` is unique on the page."""
    return "".join(_Drawing(chart, size, f"{identity}-{size.name}").svg() for size in (WIDE, NARROW))


def swatch(drawing: Line | Marks) -> str:
    """What a legend shows beside a name."""
    if isinstance(drawing, Line):
        inside = f'<path class="line c{drawing.colour}" d="M0 6H22"{_DASHES[drawing.dash]}/>'
    else:
        inside = _shape(drawing.shape, 11, 6, drawing.colour)
    return f'<svg class="swatch" width="22" height="12" aria-hidden="true">{inside}</svg>'


class _Drawing:
    """One chart at one size: where the area of the data is, and everything around it."""

    def __init__(self, chart: Chart, size: Size, identity: str) -> None:
        self.chart, self.size, self.identity = chart, size, identity
        longest = max((len(label) for _, label in chart.y.ticks), default=0)
        # Where the names of rows would take the room of their bars, they stand above them.
        self.names_above = bool(chart.rows) and size is NARROW and longest > size.tick_letters
        self.left = 14 if self.names_above else 14 + _LETTER * min(longest, size.tick_letters)
        self.top = 26 if any(isinstance(one, Limit) for one in chart.drawings) else 12
        self.right = size.width - 18
        row = _TALL_ROW if self.names_above else _ROW
        self.height = 60 + self.top + row * chart.rows if chart.rows else size.height
        self.bottom = self.height - 48

    def svg(self) -> str:
        title, about = f"{self.identity}-t", f"{self.identity}-d"
        drawn = "".join(map(self._draw, self.chart.drawings))
        return (
            f'<svg class="chart {self.size.name}" viewBox="0 0 {self.size.width} {self.height:g}" role="img" '
            f'aria-labelledby="{title} {about}">'
            f'<title id="{title}">{escape(self.chart.title)}</title>'
            f'<desc id="{about}">{escape(self.chart.description)}</desc>'
            f"{self._grid()}{drawn}</svg>"
        )

    def _x(self, value: float) -> float:
        return self.left + (self.right - self.left) * min(max(self.chart.x.place(value), 0.0), 1.0)

    def _y(self, value: float) -> float:
        return self.bottom - (self.bottom - self.top) * min(max(self.chart.y.place(value), 0.0), 1.0)

    def _cut(self, label: str) -> str:
        most = self.size.tick_letters
        return label if len(label) <= most else label[: most - 1] + "…"

    def _grid(self) -> str:
        """Lines, ticks and the axes' titles. Labels that would run into one another are left out."""
        parts = []
        free_from = -1e9
        for value, label in self.chart.x.ticks:
            x, half = self._x(value), _LETTER * len(label) / 2
            parts.append(f'<path class="grid" d="M{x:.1f} {self.top}V{self.bottom:.1f}"/>')
            centre = min(x, self.size.width - half - 2)
            if centre - half < free_from:
                continue
            free_from = centre + half + 8
            parts.append(_text(centre, self.bottom + 20, label, "tick", "middle"))
        for value, label in self.chart.y.ticks:
            y = self._y(value)
            if self.names_above:
                parts.append(_text(self.left + 4, y - 14, label[:44], "tick", "start"))
                continue
            if not self.chart.rows:
                parts.append(f'<path class="grid" d="M{self.left:.1f} {y:.1f}H{self.right}"/>')
            parts.append(_text(self.left - 6, y + 4, self._cut(label), "tick", "end"))
        parts.append(f'<path class="axis" d="M{self.left:.1f} {self.top}V{self.bottom:.1f}H{self.right}"/>')
        parts.append(
            _text((self.left + self.right) / 2, self.height - 8, self.chart.x.title, "name", "middle")
        )
        return "".join(parts)

    def _draw(self, drawing: Line | Marks | Interval | Bar | Limit) -> str:
        match drawing:
            case Line():
                points = " ".join(f"{self._x(x):.1f},{self._y(y):.1f}" for x, y in drawing.points)
                return f'<polyline class="line c{drawing.colour}" points="{points}"{_DASHES[drawing.dash]}/>'
            case Marks():
                return "".join(self._mark(mark, drawing) for mark in drawing.marks)
            case Interval():
                return self._interval(drawing)
            case Bar():
                return self._bar(drawing)
            case Limit():
                x = self._x(drawing.x)
                width = _LETTER * len(drawing.name)
                text = _text(
                    max(min(x, self.right - width / 2), width / 2), 16, drawing.name, "name", "middle"
                )
                return f'<path class="limit" d="M{x:.1f} 21V{self.bottom:.1f}"/>{text}'

    def _mark(self, mark: Mark, kind: Marks) -> str:
        drawn = _shape(kind.shape, self._x(mark.x), self._y(mark.y), kind.colour)
        return f"<g><title>{escape(mark.about)}</title>{drawn}</g>"

    def _interval(self, interval: Interval) -> str:
        y, low = self._y(interval.y), self._x(interval.low)
        high = self._x(interval.high) if interval.high is not None else low
        end = f"M{high:.1f} {y - 11:.1f}V{y + 11:.1f}" if interval.high is not None else ""
        path = f"M{low:.1f} {y - 11:.1f}V{y + 11:.1f}M{low:.1f} {y:.1f}H{high:.1f}{end}"
        drawn = f'<path class="line c{interval.colour}" d="{path}"/>'
        return f"<g><title>{escape(interval.about)}</title>{drawn}</g>"

    def _bar(self, bar: Bar) -> str:
        y, end = self._y(bar.y), self._x(bar.value)
        width = max(end - self.left, 1.5)
        label_width = _LETTER * len(bar.label) + 14
        inside = end + label_width > self.right
        place = (end - 8, "onbar", "end") if inside and width > label_width else (end + 8, "label", "start")
        area = f'x="{self.left:.1f}" y="{y - 9:.1f}" width="{width:.1f}" height="18"'
        return (
            f"<g><title>{escape(bar.about)}</title>"
            f'<rect class="f{bar.colour}" {area}/>'
            f"{_text(place[0], y + 4, bar.label, place[1], place[2])}</g>"
        )


def _text(x: float, y: float, text: str, kind: str, anchor: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _shape(shape: Shape, x: float, y: float, colour: int) -> str:
    match shape:
        case "dot":
            return f'<circle class="dot f{colour}" cx="{x:.1f}" cy="{y:.1f}" r="4"/>'
        case "square":
            return f'<rect class="dot f{colour}" x="{x - 3.5:.1f}" y="{y - 3.5:.1f}" width="7" height="7"/>'
        case "cross":
            cross = f"M{x - 4:.1f} {y - 4:.1f}l8 8m0 -8l-8 8"
            return f'<path class="line c{colour}" d="{cross}"/>'

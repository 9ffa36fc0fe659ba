# SPDX-License-Identifier: Apache-2.0
"""A report before it is text, Markdown or HTML: titled sections of paragraphs, tables and charts.

What a report says is made once, by sections.py and its siblings. How it looks is decided by to_text,
to_markdown and to_html. A chart never says more than the tables of its section: two of the three have none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from forwarder.report.chart import Chart
from forwarder.stats.section import Column

Tone = Literal["good", "bad", "warn", "quiet"]


@dataclass(frozen=True, slots=True)
class Toned:
    """Words that a colour supports. The words alone must do."""

    text: str
    tone: Tone


Cell = str | Toned


@dataclass(frozen=True, slots=True)
class Paragraph:
    text: str
    tone: Tone | None = None


@dataclass(frozen=True, slots=True)
class Table:
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    title: str = ""
    folded: bool = False  # long and for reference: closed at first where that is possible


@dataclass(frozen=True, slots=True)
class Tiles:
    """The few figures that a reader came for: what, figure, and a note on it."""

    tiles: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class Notice:
    """What nobody may overlook, with its reasons."""

    title: str
    reasons: tuple[str, ...]
    tone: Tone


Block = Paragraph | Table | Tiles | Notice | Chart


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Article:
    """One result, or the overview of several: a headline, what comes before everything else, and sections."""

    title: str
    subtitle: str
    opening: tuple[Block, ...]
    sections: tuple[Section, ...]


@dataclass(frozen=True, slots=True)
class Document:
    title: str
    articles: tuple[Article, ...]


def plain(cell: Cell) -> str:
    return cell.text if isinstance(cell, Toned) else cell

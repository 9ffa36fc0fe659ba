# SPDX-License-Identifier: Apache-2.0
"""A titled table that fits its console, and the console that it is printed on.

A table that is wider than its console leaves out its least important columns before it wraps a number. Names
that came from a user or a kernel are shown as they are: never as markup, never as terminal control.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO

from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

PLAIN_WIDTH = 120  # a file or a pipe has no width of its own


def make_console(file: IO[str] | None = None) -> Console:
    """A console on stdout, or on `file`: colours and boxes on a terminal, plain text elsewhere."""
    console = Console(file=file, highlight=False, markup=False, emoji=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = PLAIN_WIDTH
    return console


@dataclass(frozen=True)
class Column:
    header: str
    left: bool = False
    spare: int = 0  # the column with the highest number is left out first; 0: never left out


@dataclass(frozen=True)
class Section:
    """A titled table that fits its console."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str | Text, ...], ...]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        kept = list(range(len(self.columns)))
        table = self._table(kept)
        while Measurement.get(console, options.update(width=10_000), table).maximum > options.max_width:
            most_spare = max(kept, key=lambda index: self.columns[index].spare)
            if not self.columns[most_spare].spare:
                break
            kept.remove(most_spare)
            table = self._table(kept)
        yield Text(f"\n{self.title}" if self.title else "", style="bold cyan")
        yield table

    def _table(self, kept: Sequence[int]) -> Table:
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), header_style="bold")
        table.show_header = any(column.header for column in self.columns)
        for index in kept:
            column = self.columns[index]
            table.add_column(Text(column.header), justify="left" if column.left else "right", overflow="fold")
        for row in self.rows:
            table.add_row(*(_cell(row[index]) for index in kept))
        return table


def _cell(value: str | Text) -> Text:
    return value if isinstance(value, Text) else Text(printable(value))


def printable(text: str) -> str:
    """The text with "?" in place of characters that could move the cursor or change colours."""
    return "".join(character if character.isprintable() else "?" for character in text)

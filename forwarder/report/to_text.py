# SPDX-License-Identifier: Apache-2.0
"""A report on a terminal or in a text file: its words and tables, without its charts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rich.console import Console
from rich.text import Text

from forwarder.report.chart import Chart
from forwarder.report.document import Block, Cell, Document, Notice, Paragraph, Table, Tiles, Tone, Toned
from forwarder.stats.section import Column, printable
from forwarder.stats.section import Section as TextTable

_STYLES: dict[Tone, str] = {"good": "green", "bad": "bold red", "warn": "yellow", "quiet": "dim"}


def print_text(report: Document, console: Console, *, full: bool = False) -> None:
    """Print it. Folded tables are for reference: only `full` has them."""
    for article in report.articles:
        console.print(Text(f"\n{printable(article.title)}", style="bold"))
        console.print(Text(printable(article.subtitle)))
        for block in article.opening:
            _print(block, console)
        for section in article.sections:
            blocks = [block for block in section.blocks if full or not _is_folded(block)]
            _print_section(
                section.title, [block for block in blocks if not isinstance(block, Chart)], console
            )


def _is_folded(block: Block) -> bool:
    return isinstance(block, Table) and block.folded


def _print_section(title: str, blocks: Sequence[Block], console: Console) -> None:
    """A section. Its title stands over its first table, if that has none of its own."""
    if not blocks:
        return
    first, *others = blocks
    if isinstance(first, Table) and not first.title:
        first = replace(first, title=title)
    else:
        console.print(Text(f"\n{title}", style="bold cyan"))
    for block in (first, *others):
        _print(block, console)


def _print(block: Block, console: Console) -> None:
    match block:
        case Paragraph():
            console.print(Text(printable(block.text), style=_STYLES[block.tone] if block.tone else ""))
        case Notice():
            console.print(Text(f"\n{printable(block.title).upper()}", style=_STYLES[block.tone]))
            for reason in block.reasons:
                console.print(Text(f"  {printable(reason)}"))
        case Table():
            rows = tuple(tuple(map(_cell, row)) for row in block.rows)
            console.print(TextTable(block.title, block.columns, rows))
        case Tiles():
            columns = (Column("", left=True), Column(""), Column("", left=True))
            console.print(TextTable("Main figures", columns, block.tiles))
        case Chart():
            pass  # the tables have its figures


def _cell(cell: Cell) -> str | Text:
    if isinstance(cell, Toned):
        return Text(printable(cell.text), style=_STYLES[cell.tone])
    return cell

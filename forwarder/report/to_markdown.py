# SPDX-License-Identifier: Apache-2.0
"""A report in Markdown, as GitHub reads it: its words and tables, without its charts."""

from __future__ import annotations

import re

from forwarder.report.chart import Chart
from forwarder.report.document import Block, Document, Notice, Paragraph, Section, Table, Tiles, plain
from forwarder.stats.section import Column, printable


def markdown(report: Document) -> str:
    parts = []
    for article in report.articles:
        parts += [f"# {_words(article.title)}", _words(article.subtitle)]
        parts += [_block(block) for block in article.opening]
        for section in article.sections:
            parts += _section(section)
    return "\n\n".join(part for part in parts if part) + "\n"


def _section(section: Section) -> list[str]:
    return [f"## {_words(section.title)}", *map(_block, section.blocks)]


def _block(block: Block) -> str:
    match block:
        case Paragraph():
            return _words(block.text)
        case Notice():
            reasons = "".join(f"\n> - {_words(reason)}" for reason in block.reasons)
            return f"> **{_words(block.title)}**\n>{reasons}"
        case Tiles():
            columns = (Column("", left=True), Column(""), Column("", left=True))
            return _table(Table(columns, block.tiles))
        case Table():
            return _table(block)
        case Chart():
            return ""  # the tables have its figures


def _table(table: Table) -> str:
    lines = [f"**{_words(table.title)}**", ""] if table.title else []
    lines.append(_row([column.header for column in table.columns]))
    lines.append("|" + "|".join(":---" if column.left else "---:" for column in table.columns) + "|")
    lines += [_row([plain(cell) for cell in row]) for row in table.rows]
    return "\n".join(lines)


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(map(_words, cells)) + " |"


def _words(text: str) -> str:
    """Text that stays as it is: no markup, no new line, no end of a cell."""
    return re.sub(r"([\\`*_{}\[\]<>|#~])", r"\\\1", printable(text))

# SPDX-License-Identifier: Apache-2.0
"""A report as one HTML file that needs nothing else: no network, no script, no font.

Every word of a result is escaped. The page's policy forbids it to load anything.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from importlib.resources import files

from forwarder.report import svg
from forwarder.report.chart import Chart, Line, Marks
from forwarder.report.document import (
    Article,
    Block,
    Cell,
    Document,
    Notice,
    Paragraph,
    Section,
    Table,
    Tiles,
    Toned,
    plain,
)

_SHORT = 28  # letters of a cell that stay on one line
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
# An empty icon: else browsers ask for one.
_HEAD = """\
<!doctype html>
<!-- SPDX-License-Identifier: Apache-2.0 -->
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="generator" content="ttfwd report">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
<main>
"""
_TAIL = "</main>\n</body>\n</html>\n"


def html(report: Document) -> str:
    style = files("forwarder.report").joinpath("page.css").read_text(encoding="utf-8")
    head = _HEAD.format(policy=escape(_POLICY), title=escape(f"{report.title}: ttfwd report"), style=style)
    named = [(f"r{number}", article) for number, article in enumerate(report.articles)]
    articles = (_article(article, name, named[1:] if name == "r0" else []) for name, article in named)
    return head + "\n".join(articles) + _TAIL


def _article(article: Article, identity: str, others: Sequence[tuple[str, Article]]) -> str:
    """An article, and links to its sections and to the others."""
    opening = "\n".join(
        _block(block, f"{identity}-o{number}") for number, block in enumerate(article.opening)
    )
    named = [(f"{identity}-s{number}", section) for number, section in enumerate(article.sections)]
    targets = [(name, section.title) for name, section in named] + [(name, one.title) for name, one in others]
    links = "".join(f'<li><a href="#{name}">{escape(title)}</a></li>' for name, title in targets)
    sections = "\n".join(_section(section, name) for name, section in named)
    about = escape(f"Sections of {article.title}")
    return (
        f'<article aria-labelledby="{identity}">\n<h1 id="{identity}">{escape(article.title)}</h1>\n'
        f'<p class="subtitle">{_words(article.subtitle)}</p>\n{opening}\n'
        f'<nav aria-label="{about}"><ul>{links}</ul></nav>\n{sections}\n</article>\n'
    )


def _section(section: Section, identity: str) -> str:
    blocks = "\n".join(_block(block, f"{identity}-{number}") for number, block in enumerate(section.blocks))
    head = f'<h2 id="{identity}">{escape(section.title)}</h2>'
    return f'<section aria-labelledby="{identity}">\n{head}\n{blocks}\n</section>'


def _block(block: Block, identity: str) -> str:
    match block:
        case Paragraph():
            kind = block.tone or ("lead" if identity.endswith("-o0") else "")
            return f'<p class="{kind}">{_words(block.text)}</p>' if kind else f"<p>{_words(block.text)}</p>"
        case Notice():
            reasons = "".join(f"<li>{_words(reason)}</li>" for reason in block.reasons)
            return (
                f'<div class="notice {block.tone}" role="note"><strong>{escape(block.title)}</strong>'
                f"<ul>{reasons}</ul></div>"
            )
        case Tiles():
            tiles = "".join(
                f'<div><dt>{_words(what)}</dt><dd class="figure">{_words(figure)}</dd>'
                f'<dd class="note">{_words(note)}</dd></div>'
                for what, figure, note in block.tiles
            )
            return f'<dl class="tiles">{tiles}</dl>'
        case Table():
            return _table(block)
        case Chart():
            return _figure(block, identity)


def _table(table: Table) -> str:
    sides = [
        ""
        if not column.left
        else "l"
        if any(len(plain(row[at])) > _SHORT for row in table.rows)
        else "l short"
        for at, column in enumerate(table.columns)
    ]
    headers = "".join(
        f'<th{_class(side)} scope="col">{escape(column.header)}</th>'
        for column, side in zip(table.columns, sides, strict=True)
    )
    head = f"<thead><tr>{headers}</tr></thead>" if any(column.header for column in table.columns) else ""
    rows = "\n".join(
        "<tr>"
        + "".join(f"<td{_class(side)}>{_cell(cell)}</td>" for cell, side in zip(row, sides, strict=True))
        + "</tr>"
        for row in table.rows
    )
    caption = f"<caption>{escape(table.title)}</caption>" if table.title and not table.folded else ""
    label = escape(table.title or "table")
    # What scrolls must be within reach of the keyboard.
    drawn = (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{label}">'
        f"<table>{caption}{head}<tbody>\n{rows}\n</tbody></table></div>"
    )
    return f"<details><summary>{label}</summary>{drawn}</details>" if table.folded else drawn


def _words(text: str) -> str:
    """Prose, escaped. A number and its unit stay on one line."""
    return re.sub(r"(?<=\d) (?=(?:%|[kM]?fps|[nµm]?s)(?:\W|$))", "&nbsp;", escape(text))


def _class(name: str) -> str:
    return f' class="{name}"' if name else ""


def _cell(cell: Cell) -> str:
    if isinstance(cell, Toned):
        return f'<span class="{cell.tone}">{_words(cell.text)}</span>'
    return _words(cell)


def _figure(chart: Chart, identity: str) -> str:
    named = [drawing for drawing in chart.drawings if isinstance(drawing, Line | Marks)]
    items = "".join(f"<li>{svg.swatch(drawing)}{escape(drawing.name)}</li>" for drawing in named)
    legend = f'<ul class="legend">{items}</ul>' if len(named) > 1 or (chart.rows and named) else ""
    return (
        f"<figure>{svg.draw(chart, identity)}{legend}"
        f"<figcaption><strong>{escape(chart.title)}</strong>{escape(chart.description)}</figcaption></figure>"
    )

# SPDX-License-Identifier: Apache-2.0
"""Every relative link of a page leads to an existing file and heading."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("kmod/*.md")])

LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)


def prose(page: Path) -> str:
    """The text of a page without its indented blocks: output and commands hold no links or headings."""
    lines = page.read_text(encoding="utf-8").splitlines()
    return "\n".join(line for line in lines if not line.startswith("    "))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    titles = (re.sub(r"[^\w\s-]", "", title.lower()) for title in HEADING.findall(prose(page)))
    return {title.strip().replace(" ", "-") for title in titles}


def test_a_heading_becomes_the_anchor_that_github_makes(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# `[[port]]`\n\n    # not a heading\n\n## Driver `a`, 1 queue (bar: 1.10 times)\n")
    assert anchors(page) == {"port", "driver-a-1-queue-bar-110-times"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    dangling = []
    for link in LINK.findall(prose(page)):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            dangling.append(link)
    assert dangling == []


def test_every_decision_is_in_the_index() -> None:
    records = ROOT / "docs" / "decisions"
    listed = set(LINK.findall((records / "README.md").read_text(encoding="utf-8")))
    assert listed == {record.name for record in records.glob("[0-9]*.md")}

# SPDX-License-Identifier: Apache-2.0
"""docs/bench-result.md explains every key of a result, and none that there isn't."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

from forwarder.results import model
from forwarder.results.model import Model, Verdict

PAGE = Path(__file__).resolve().parents[2] / "docs" / "bench-result.md"


def sections() -> dict[str, str]:
    """The text below each heading, by the heading's first word."""
    parts = re.split(r"^#{2,3} +`?(\w+).*$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def explained(section: str) -> set[str]:
    """The words in backticks in the first column of the section's table."""
    rows = re.findall(r"^\| (`.+?) \|", section, re.MULTILINE)
    return {key for row in rows for key in re.findall(r"`(\w+)`", row)}


def test_each_part_of_a_result_has_its_keys_in_the_page() -> None:
    models = {
        name: found
        for name, found in vars(model).items()
        if isinstance(found, type) and issubclass(found, Model) and found is not Model
    }
    page = sections()
    assert {name: explained(page.get(name, "")) for name in models} == {
        name: set(found.model_fields) for name, found in models.items()
    }


def test_each_verdict_is_in_the_page() -> None:
    assert explained(sections()["Verdicts"]) == set(get_args(Verdict))

# SPDX-License-Identifier: Apache-2.0
"""The colours of a report's page can be told from their background (WCAG 2.1: 4.5 for words, 3 for lines)."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

CSS = files("forwarder.report").joinpath("page.css").read_text(encoding="utf-8")
# Each scheme declares every variable, in this order in the file.
SCHEMES = dict(zip(("light", "dark", "paper"), re.findall(r":root \{(.*?)\}", CSS, re.DOTALL), strict=True))

PAIRS = [
    *((words, background, 4.5) for words in ("words", "quiet") for background in ("page", "card")),
    *(("words", background, 4.5) for background in ("good", "bad", "warn")),
    *((f"s{number}", "page", 4.5) for number in range(6)),  # all of them colour words somewhere
    *(("onbar", f"s{number}", 4.5) for number in range(6)),
    ("s4", "bad", 4.5),
]


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(first: str, second: str) -> float:
    dark, light = sorted(map(luminance, (first, second)))
    return (light + 0.05) / (dark + 0.05)


def test_black_on_white_is_21() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_words_and_lines_can_be_seen(scheme: str) -> None:
    colours = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", SCHEMES[scheme]))
    poor = {
        (front, back): round(contrast(colours[front], colours[back]), 2)
        for front, back, least in PAIRS
        if contrast(colours[front], colours[back]) < least
    }
    assert poor == {}

# SPDX-License-Identifier: Apache-2.0
"""The page of a report in a browser: it asks the network for nothing, and every figure is on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from forwarder.report.build import document
from forwarder.report.to_html import html
from tests.support import results
from tests.support.browser import Browser, Page, chromium

WIDTHS = {"phone": 360, "desktop": 1280}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every section that there is: all results of all tests, beside a base."""
    path = tmp_path_factory.mktemp("page") / "report.html"
    stored = [*results.every_test().values(), results.interrupted()]
    path.write_text(html(document(stored, results.full((540e3, 541e3, 539e3)))), encoding="utf-8")
    return path


@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_page_opens_without_network_complaint_or_overflow(
    browser: Browser, page: Path, width: int, dark: bool
) -> None:
    browser.open(page, width=width, dark=dark)
    assert browser.page == Page(requests=[], complaints=[])
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    background = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == ("rgb(20, 24, 29)" if dark else "rgb(255, 255, 255)")
    kind = "narrow" if width < 600 else "wide"
    shown = "[...document.querySelectorAll('svg.chart')].filter(one => one.getClientRects().length)"
    assert browser.evaluate(f"{shown}.length") > 0
    assert browser.evaluate(f"{shown}.every(one => one.classList.contains('{kind}'))")


def test_the_page_has_its_words(browser: Browser, page: Path) -> None:
    browser.open(page)
    assert browser.evaluate("document.title") == "11 results: ttfwd report"
    words = browser.evaluate("document.body.innerText").replace("\xa0", " ")
    for told in (
        "With nothing lost it forwarded 283.8 kfps (NDR, mean of 3 runs).",
        "Not publishable",
        "Interrupted before its end",
        "Compared with the base",
        "Welch's t-test, 3 and 3 starts of the DUT",
        "waits 2 s for stragglers",
        "DUT: tx_full",
    ):
        assert told in words


def test_no_words_of_a_chart_lie_outside_of_it_or_on_one_another(browser: Browser, page: Path) -> None:
    """Labels that collide or are cut can't be read, whatever the figures are."""
    for width in WIDTHS.values():
        browser.open(page, width=width)
        assert browser.evaluate(_MISPLACED_LABELS) == []


_MISPLACED_LABELS = """
[...document.querySelectorAll('svg.chart')].filter(one => one.getClientRects().length).flatMap(chart => {
    const frame = chart.getBoundingClientRect();
    const labels = [...chart.querySelectorAll('text.tick, text.name')].map(one => [
        one.textContent, one.getBoundingClientRect()]);
    const outside = labels.filter(([, box]) => box.left < frame.left - 1 || box.right > frame.right + 1);
    const colliding = labels.filter(([, box], number) => labels.slice(0, number).some(([, other]) =>
        box.left < other.right && other.left < box.right &&
        box.top + 2 < other.bottom && other.top + 2 < box.bottom));
    const title = chart.querySelector('title').textContent;
    return [...outside, ...colliding].map(([words]) => `${words} in "${title}"`);
})
"""


def test_a_name_with_markup_is_no_markup(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "hostile.html"
    name = "<script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">"
    report = document([results.full(dut=results.dut(name), why_not=(name,), publishable=False)])
    path.write_text(html(report), encoding="utf-8")
    browser.open(path)
    assert browser.evaluate("document.title") == f"{name}: ttfwd report"
    assert browser.evaluate("document.querySelector('h1').innerText") == name
    assert browser.page.complaints == []


def test_a_screenshot_isnt_blank(browser: Browser, page: Path) -> None:
    browser.open(page)
    picture = browser.screenshot()
    assert picture.startswith(b"\x89PNG")
    assert len(picture) > 20_000

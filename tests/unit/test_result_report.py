# SPDX-License-Identifier: Apache-2.0
"""What a report says of a result: its figures, what is wrong with it, and nothing that isn't in it."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import pytest

from forwarder.report import axis, figures, words
from forwarder.report.build import document
from forwarder.report.chart import Bar, Chart, Interval, Line, Marks
from forwarder.report.csv_tables import figures_csv, trials_csv
from forwarder.report.percentiles import curve
from forwarder.report.to_html import html
from forwarder.report.to_markdown import markdown
from forwarder.report.to_text import print_text
from forwarder.results.load import StoredResult
from forwarder.results.model import Distribution, Lost
from forwarder.stats.section import make_console
from tests.support import results

EVERY = results.every_test()


def text(
    *stored: StoredResult, base: StoredResult | None = None, full: bool = False, width: int = 250
) -> str:
    written = io.StringIO()
    console = make_console(written)
    console.width = width
    print_text(document(stored, base), console, full=full)
    return written.getvalue()


@cache
def whole_text() -> str:
    return text(results.full())


class Page(HTMLParser):
    """What is on a page: its words, its elements, and whether they nest."""

    VOID = frozenset({"meta", "link", "br"})

    def __init__(self, source: str) -> None:
        super().__init__()
        self.words = ""
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[str] = []
        self.feed(source)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for found, attributes in self.elements if found == tag]


@pytest.mark.slow
def test_a_newcomer_reads_the_outcome_first() -> None:
    opening = whole_text()[:700]
    assert "driver uring, 1 queue" in opening
    assert "With nothing lost it forwarded 283.8 kfps (NDR, mean of 3 runs)." in opening
    assert "With at most 0.5 % lost it forwarded 570.9 kfps (PDR, mean of 3 runs)." in opening
    assert "half of the frames took 2.96 µs or less" in opening
    assert "PUBLISHABLE\n" in opening


@pytest.mark.slow
@pytest.mark.parametrize("name", EVERY)
def test_every_test_has_a_report_in_every_format(name: str) -> None:
    stored = EVERY[name]
    report = document([stored])
    for shown in (text(stored), markdown(report), Page(html(report)).words):
        assert stored.result.dut.title in shown
        assert stored.result.run_id in shown
    assert list(csv.DictReader(io.StringIO(figures_csv([stored]))))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("mrr", "Offered 1.400 Mfps, it forwarded 1.193 Mfps (MRR)."),
        ("loss", "The highest load without loss was 840.0 kfps."),
        ("burst", "Bursts of 1,409 frames passed whole."),
        ("soak", "In 60 s at 250.0 kfps it lost 7 of 15,000,000 frames."),
        (
            "reset",
            "The costliest of 3 events (worker 0 killed) lost 845 frames, as many as are due in 4.22 ms.",
        ),
        ("selftest", "The tester alone sends and counts up to 1.400 Mfps without loss"),
        ("quick", "Not publishable".upper()),
    ],
)
def test_each_test_begins_with_its_main_figure(name: str, told: str) -> None:
    assert told in text(EVERY[name])


@pytest.mark.slow
def test_everything_that_rfc_9971_demands_is_there() -> None:
    shown = text(results.full(goals=(results.goal("pdr", [571e3, 569e3], loss_ratio=0.005, directions=2),)))
    assert re.search(r"^PDR +0\.5 % +50 % +21 s +1 s +1 s +0\.5 %", shown, re.MULTILINE)
    assert "lower bound" in shown
    assert "571.0 kfps" in shown
    assert "both directions together 1.140 Mfps (times 2)" in shown
    assert "Deviations from the standards" in shown
    assert "waits 2 s for stragglers" in shown
    assert "A frame that was due and not sent counts as lost." in shown
    assert "effective duration" in shown


@pytest.mark.slow
def test_an_irregular_search_is_marked_wherever_its_figure_stands() -> None:
    stored = results.generator_limited()
    shown = text(stored)
    assert "it forwarded 1.400 Mfps (NDR, irregular: not a confirmed limit)" in shown
    assert "nothing lost, IRREGULAR" in shown
    row = next(line for line in shown.splitlines() if line.startswith("NDR") and "generator_limited" in line)
    assert "IRREGULAR" in row
    assert "generator_limited: the generator was the limit: the device may be faster." in shown
    assert "NOT PUBLISHABLE\n  goal ndr: limited by the generator, at 1,400,000 frames/s" in shown


def test_an_interrupted_run_says_so_first_and_shows_what_there_is() -> None:
    shown = text(results.interrupted())
    assert shown.index("INTERRUPTED BEFORE ITS END") < shown.index("Throughput")
    assert "No load met NDR (nothing lost)." in shown
    assert "410.0 kfps" in shown


@pytest.mark.slow
def test_what_the_files_lack_is_said() -> None:
    made = results.full((500e3,))
    stored = StoredResult(
        made.path, made.result, (), ("trials.jsonl is missing: single trials can't be shown",)
    )
    assert "trials.jsonl is missing" in text(stored)
    assert f"{made.result.trials_counted} trials count, 1 were void." in text(stored)


@pytest.mark.slow
def test_lost_frames_have_their_places() -> None:
    lost = Lost(before_dut=5, dut={"tx_full": 90, "oversize": 2}, after_dut=1, receiver=2)
    shown = text(results.full(lost=lost))
    for row in ("before the DUT +5 +5 %", "DUT: tx_full +90 +90 %", "receiver +2 +2 %", "all +100 "):
        assert re.search(f"^{row}", shown, re.MULTILINE), row
    assert "Every lost frame is in one place" in shown


@pytest.mark.slow
def test_unexplained_losses_are_no_secret() -> None:
    shown = text(results.full(lost=Lost(dut={"tx_full": 9}, unexplained=1)))
    assert "some losses have no place" in shown
    assert re.search(r"^unexplained +1 +10 %", shown, re.MULTILINE)


def test_the_frames_of_a_capture_are_what_they_are() -> None:
    made = results.profile()
    capture = made.model_copy(update={"pcap": "a.pcap", "sizes": "pcap", "ip": None, "flows": None})
    assert words.traffic(capture).startswith("the frames of a.pcap, on average ")
    assert "None" not in words.traffic(capture)


@pytest.mark.slow
def test_a_run_without_loss_says_that() -> None:
    assert "No frame was lost in the trials that count." in text(results.full(lost=Lost()))


def test_a_percentile_that_cant_be_known_is_a_dash() -> None:
    few = next(line for line in whole_text().splitlines() if line.startswith("low load"))
    assert few.split()[-4:-2] == ["-", "-"]  # p99.9 and p99.99; the last is the maximum


@pytest.mark.slow
def test_frames_that_were_handed_over_together_are_said() -> None:
    made = results.full((5e5,))
    assert "frames handed over together" not in text(made)
    (first, *others), way = made.trials, made.trials[0].ways[0].model_copy(update={"batch": 4})
    trials = (first.model_copy(update={"ways": (way,)}), *others)
    shown = text(StoredResult(made.path, made.result, trials))
    assert re.search(
        "frames handed over together +up to 4 at high loads: there, path is uncertain by 300 ns", shown
    )


@pytest.mark.slow
def test_long_tables_are_left_out_of_the_text_unless_asked_for() -> None:
    short, full = whole_text(), text(results.full(), full=True)
    assert "Every trial" not in short
    assert "Every trial" in full
    assert "void: it is repeated" not in short
    assert "foreign CPU 31 %: more than 5 %" in full


@pytest.mark.slow
def test_hostile_names_stay_words() -> None:
    name = '<script>alert("1")</script>\x1b[31m | `x`'
    stored = results.full(dut=results.dut(name))
    report = document([stored])
    assert "\x1b" not in text(stored)
    page = Page(html(report))
    assert page.all("script") == []
    assert '<script>alert("1")' in page.words
    title = next(line for line in markdown(report).splitlines() if line.startswith("# "))
    assert "\\<script\\>" in title
    assert "\\|" in title
    assert "\x1b" not in markdown(report)


@pytest.mark.slow
def test_the_page_asks_for_nothing_and_may_load_nothing() -> None:
    page = Page(html(document([results.full()])))
    assert page.all("script") == []
    policy = next(meta["content"] for meta in page.all("meta") if meta.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    places = [attributes.get(key) for _, attributes in page.elements for key in ("src", "href", "data")]
    assert {place for place in places if place and not place.startswith("#")} == {"data:,"}


@pytest.mark.slow
def test_every_chart_has_a_title_and_a_text() -> None:
    for stored in EVERY.values():
        page = Page(html(document([stored])))
        identities = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
        assert len(identities) == len(set(identities))
        charts = [svg for svg in page.all("svg") if svg.get("aria-hidden") != "true"]
        for chart in charts:
            assert chart["role"] == "img"
            assert set((chart["aria-labelledby"] or "").split()) <= set(identities)
        assert len(page.all("desc")) == len(charts)


@pytest.mark.slow
def test_every_mark_lies_inside_its_axes() -> None:
    for stored in (*EVERY.values(), results.interrupted()):
        for article in document([stored], results.full()).articles:
            charts = [
                block for section in article.sections for block in section.blocks if isinstance(block, Chart)
            ]
            for chart in charts:
                for x, y in points(chart):
                    assert -1e-9 <= chart.x.place(x) <= 1 + 1e-9, chart.title
                    assert -1e-9 <= chart.y.place(y) <= 1 + 1e-9, chart.title


def points(chart: Chart) -> Iterator[tuple[float, float]]:
    for drawing in chart.drawings:
        match drawing:
            case Marks():
                yield from ((mark.x, mark.y) for mark in drawing.marks)
            case Line():
                yield from drawing.points
            case Bar():
                yield drawing.value, drawing.y
            case Interval():
                yield drawing.low, drawing.y


@pytest.mark.slow
def test_several_results_begin_with_an_overview() -> None:
    page = Page(html(document([results.full(), results.interrupted(), EVERY["mrr"]])))
    assert len(page.all("h1")) == 4
    assert page.words.index("Throughput of all results") < page.words.index("Loss at each load")
    shown = text(results.full(), results.interrupted())
    assert shown.index("Overview") < shown.index("Throughput")
    assert shown.count("NO ") == 1


def test_the_figures_as_csv_are_those_of_the_result() -> None:
    base = results.full((540e3, 541e3, 539e3))
    rows = {row["figure"]: row for row in csv.DictReader(io.StringIO(figures_csv([results.full()], base)))}
    row = rows["goal pdr"]
    assert float(row["value"]) == pytest.approx(570_933.33)
    assert (row["unit"], row["samples"], row["outcome"]) == ("frames/s", "571000 569500 572300", "better")
    assert float(row["change_ratio"]) == pytest.approx(570_933.33 / 540_000 - 1)
    assert float(rows["latency pdr_50 forward path p50"]["value"]) == 2960


def test_the_trials_as_csv_have_a_line_for_each_direction() -> None:
    trials = (results.trial(1, 1000.0, 7, directions=2), results.trial(2, 2000.0, void=("steal 2 %",)))
    rows = list(csv.DictReader(io.StringIO(trials_csv(StoredResult(Path("x"), results.result(), trials)))))
    assert [(row["trial"], row["direction"], row["lost"], row["void"]) for row in rows] == [
        ("1", "forward", "7", ""),
        ("1", "backward", "7", ""),
        ("2", "forward", "0", "steal 2 %"),
    ]
    assert float(rows[0]["loss_ratio"]) == pytest.approx(0.007)


def test_the_percentile_curve_ends_at_the_slowest_frame() -> None:
    times = Distribution(samples=4, min_ns=10, max_ns=40, buckets=((10, 2), (20, 1), (40, 1)))
    assert curve(times) == ((0.5, 10.0), (0.75, 20.0), (0.875, 40.0))
    alone = Distribution(samples=9, p50_ns=5, p90_ns=7)
    assert curve(alone) == ((0.5, 5), (0.9, 7))


@pytest.mark.parametrize(
    ("made", "ticks"),
    [
        (axis.linear("", 0, 571e3, figures.round_rate), ["0 fps", "200 kfps", "400 kfps", "600 kfps"]),
        (axis.linear("", 0, 0, str), ["0.0", "0.2", "0.4", "0.6000000000000001", "0.8", "1.0"]),
        (
            axis.logarithmic("", [2e-5, 1], figures.ratio, zero="0 %"),
            ["0 %", "0.01 %", "0.1 %", "1 %", "10 %", "100 %"],
        ),
        (
            axis.loads("", [22e3, 90e3], figures.round_rate),
            ["0 fps", "20 kfps", "40 kfps", "60 kfps", "80 kfps", "100 kfps"],
        ),
        (
            axis.loads("", [22e3, 480e3], figures.round_rate),
            ["20 kfps", "50 kfps", "100 kfps", "200 kfps", "500 kfps"],
        ),
        (axis.percentiles("", 5_000), ["0", "50 %", "90 %", "99 %", "99.9 %", "99.99 %"]),
    ],
)
def test_axes_have_round_ticks_inside(made: axis.Axis, ticks: list[str]) -> None:
    assert [label for _, label in made.ticks] == ticks
    assert all(-1e-9 <= made.place(value) <= 1 + 1e-9 for value, _ in made.ticks)


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (figures.rate(1_190_000), "1.190 Mfps"),
        (figures.rate(999_960), "1.000 Mfps"),
        (figures.rate(12_345), "12.35 kfps"),
        (figures.rate(None), "-"),
        (figures.time(310), "310 ns"),
        (figures.time(9_996), "10.0 µs"),
        (figures.time(2.4e9), "2.40 s"),
        (figures.ratio(0), "0 %"),
        (figures.ratio(9.3e-7), "0.000093 %"),
        (figures.ratio(0.1), "10 %"),
        (figures.ratio(1), "100 %"),
        (figures.change(-0.0123), "-1.2 %"),
        (figures.change(1903), "times 1,904"),
        (figures.change(None), "-"),
    ],
)
def test_figures_are_short_and_never_zero_by_rounding(shown: str, expected: str) -> None:
    assert shown == expected

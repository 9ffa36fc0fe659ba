# SPDX-License-Identifier: Apache-2.0
"""The plan of the module's benchmark, and what its report says of the bars."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from rich.console import Console

from tests.bench.kmod import plan, results
from tests.bench.kmod.__main__ import main
from tests.bench.kmod.guest import Guest
from tests.bench.kmod.report import KernelReport, show
from tests.bench.programs import ProgramError
from tests.bench.tcp import Stream
from tests.kmod import kernels, vm
from tests.kmod.kernels import Kernel

_GUEST = Guest(Kernel("6.12.1-amd64", Path("/boot/vmlinuz"), Path("/usr/src")), Path("m.ko"), Path("forward"))
_PARTS: list[Callable[[], object]] = [
    lambda: _GUEST.counted([plan.REFERENCE], 1),
    lambda: _GUEST.counted_by_words([plan.REFERENCE], 1),
    lambda: _GUEST.timed([plan.REFERENCE], 1),
    lambda: _GUEST.tcp(1, by_words=True),
    lambda: _GUEST.profiled(1),
]


def _line(way: str, part: str, instructions: int, system_calls: int = 0) -> dict[str, Any]:
    return {
        "way": way,
        "part": part,
        "size_bytes": 60,
        "batch_packets": 64,
        "delivered": False,
        "round": 1,
        "packets": 64,
        "ns": instructions * 64,
        "system_calls": system_calls,
    }


def _shown(report: KernelReport) -> list[list[str]]:
    """The columns of each row."""
    shown = io.StringIO()
    show(report, Console(file=shown, width=200))
    return [[column.strip() for column in line.split("│")[1:-1]] for line in shown.getvalue().splitlines()]


def test_each_bar_is_about_ways_that_are_measured() -> None:
    measured = {*plan.quick_cells(), *plan.word_cells()}
    for bar in plan.bars():
        assert bar.cell in measured
        assert {bar.way, bar.against} <= set(bar.cell.ways)
        assert bar.way != bar.against


def test_a_line_belongs_to_its_scope() -> None:
    lines = [_line("rw", "forward", 4), _line("rw", "whole", 9), _line("crossing-device", "forward", 2)]
    found = results.by_cell(lines)
    assert [(cell.scope, list(of_cell.samples)) for cell, of_cell in found.items()] == [
        ("forward", ["rw"]),
        ("whole", ["rw"]),
        ("device", ["crossing-device"]),
    ]


def test_a_bar_is_shown_beside_what_was_measured() -> None:
    whole = [_line(way, "whole", 6000) for way in plan.WAYS_OF[plan.WHOLE]]
    met, missed = (
        [line if line["way"] != "crossing" else _line("crossing", "whole", cost, 2) for line in whole]
        for cost in (5400, 5800)
    )
    for lines, ratio, verdict in ((met, "0.900", "met"), (missed, "0.967", "MISSED")):
        report = KernelReport("6.1.0-56-amd64", 1, by_words=results.by_cell(lines))
        (row,) = (row for row in _shown(report) if "0.95" in row)
        expected = ["whole path", "64 B, dropped", "crossing", "Linux bridge", "64", ratio, "0.95"]
        assert row == [*expected, "0.0312", "0.0312", verdict]


def test_a_stream_is_compared_with_a_bridge() -> None:
    def stream(way: str, machine_ns: int) -> Stream:
        return Stream(way, 0, 10**9, 1.0, 300_000_000, 300_000_000, machine_ns, 20_000, 10**9, 150.0)

    streams = [stream(way, 880_000_000) for way in plan.TCP_WAYS] + [stream(plan.TCP_BRIDGE, 1_000_000_000)]
    for kernel, at_most, verdict in (("6.1.0-1-amd64", "0.80", "MISSED"), ("6.12.1-amd64", "0.90", "met")):
        report = KernelReport(kernel, 1, streams={True: streams})
        row = [plan.TCP_SUBJECT, "880 (0.880)", at_most, verdict, "150"]
        assert row in _shown(report)


@pytest.mark.parametrize("part", _PARTS)
@pytest.mark.parametrize(
    ("status", "why"), [(None, "the guest ended before its command did"), (0, "0 of [0-9]+ measurements")]
)
def test_a_guest_without_figures_is_an_error_that_shows_its_log(
    monkeypatch: pytest.MonkeyPatch, part: Callable[[], object], status: int | None, why: str
) -> None:
    monkeypatch.setattr(
        vm, "run", lambda *_, **__: vm.Result(status, "what it printed\n", "what it logged\n")
    )
    with pytest.raises(ProgramError, match=f"^6.12.1-amd64: {why}\nwhat it printed\nwhat it logged"):
        part()


@pytest.mark.parametrize(
    ("failure", "why"),
    [(ProgramError("no second guest"), "no second guest"), (KeyboardInterrupt(), "interrupted")],
)
def test_what_was_measured_before_a_failure_is_shown(
    monkeypatch: pytest.MonkeyPatch, failure: BaseException, why: str
) -> None:
    lines = [_line(way, "forward", instructions) for instructions, way in enumerate(plan.WAYS, 4100)]

    def fails(*_: object) -> None:
        raise failure

    monkeypatch.setattr(kernels, "of_series", lambda _: _GUEST.kernel)
    monkeypatch.setattr(Guest, "built", lambda *_: _GUEST)
    monkeypatch.setattr(Guest, "counted", lambda *_: lines)
    monkeypatch.setattr(Guest, "counted_by_words", fails)
    ran = CliRunner().invoke(main, ["--quick"])
    assert ran.exit_code == 1
    assert "4101 (1.000)" in ran.stdout
    assert ran.stderr.endswith(f"bench-kmod: {why}\n")

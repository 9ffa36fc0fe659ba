# SPDX-License-Identifier: Apache-2.0
"""The report of a lab: every cell, every jump with what else changed, and what is missing."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from deploy.ansible.plugins.module_utils.matrix import Cell
from forwarder.cli.commands import main
from forwarder.report.lab.build import lab_document
from forwarder.report.lab.changes import MOST_CHARTS
from forwarder.report.to_html import html
from forwarder.report.to_text import print_text
from forwarder.results.lab import load_lab
from tests.support import results
from tests.support.lab import matrix_of, store

SLOW = "dut1_tg1_mrr_tap_1q_1f_60B"


def falls(cell: Cell, run: int) -> float:
    """One cell gets a fifth slower with the sixth result."""
    noise = 1 + 0.002 * ((run * 7) % 5 - 2)
    return 500_000 * noise * (0.8 if cell["id"] == SLOW and run >= 5 else 1)


def text_of(directory: Path) -> str:
    console = Console(file=io.StringIO(), width=200)
    print_text(lab_document(load_lab(directory)), console, full=True)
    return " ".join(str(console.file.getvalue()).split())  # type: ignore[attr-defined]


@pytest.mark.slow
def test_a_regression_is_named_with_what_else_changed(tmp_path: Path) -> None:
    store(tmp_path / "lab", matrix_of(1), 8, falls, versions=lambda run: "0.2.0" if run >= 5 else "0.1.0")
    said = text_of(tmp_path / "lab")
    assert "4 of 4 cells have a valid result. The matrix is of 1 tester and 1 device under test." in said
    assert "WORSE THAN BEFORE: 1 FIGURE" in said
    assert f"{SLOW}: MRR: 500.0 kfps to 400.0 kfps (-20.0 %) since 2026-11-06 10:00" in said
    assert "dut1: ttfwd 0.1.0, tag 0.1.0 to 0.2.0, tag 0.2.0" in said


@pytest.mark.slow
def test_noise_is_no_jump(tmp_path: Path) -> None:
    store(tmp_path / "lab", matrix_of(1), 8, lambda _, run: 500_000 * (1 + 0.002 * ((run * 7) % 5 - 2)))
    assert "No figure jumped." in text_of(tmp_path / "lab")


def test_what_has_no_valid_result_is_listed_with_its_reason(tmp_path: Path) -> None:
    missing = {"id": SLOW, "reason": "dut1 went away"}
    store(tmp_path / "lab", matrix_of(1), 1, falls, unmeasured=[missing])
    said = text_of(tmp_path / "lab")
    assert "NO VALID RESULT: 1 CELL" in said
    assert f"{SLOW}: dut1 went away" in said
    assert "3 of 4 cells" in said


def test_what_is_not_publishable_is_marked(tmp_path: Path) -> None:
    store(tmp_path / "lab", matrix_of(1), 1, falls, publishable=False, why_not=("steal 0.4 % on CPU 1",))
    said = text_of(tmp_path / "lab")
    assert "steal 0.4 % on CPU 1 (4 cells)" in said
    assert "500.0 kfps *" in said or "498.0 kfps *" in said


def test_an_interrupted_result_does_not_count(tmp_path: Path) -> None:
    store(tmp_path / "lab", matrix_of(1), 2, falls, complete=False)
    assert "0 of 4 cells have a valid result" in text_of(tmp_path / "lab")


def test_a_lab_without_any_result_has_a_report(tmp_path: Path) -> None:
    store(tmp_path / "lab", matrix_of(1), 0, falls)
    assert "missing" in text_of(tmp_path / "lab")


@pytest.mark.slow
def test_the_page_of_many_cells_has_a_bounded_number_of_pictures(tmp_path: Path) -> None:
    store(tmp_path / "lab", matrix_of(20), 2, falls)
    page = html(lab_document(load_lab(tmp_path / "lab")))
    assert page.count("<figure>") == MOST_CHARTS
    assert page.count("dut20") > 4


def test_the_command_writes_the_page_beside_the_results(tmp_path: Path) -> None:
    store(tmp_path / "lab", matrix_of(1), 6, falls)
    ran = CliRunner().invoke(main, ["report", "--lab", str(tmp_path / "lab"), "--format", "html"])
    assert ran.exit_code == 0, ran.output
    page = (tmp_path / "lab" / "report.html").read_text()
    assert SLOW in page
    assert "<svg" in page


@pytest.mark.parametrize("kind", ["md", "text"])
def test_the_command_prints_other_formats(tmp_path: Path, kind: str) -> None:
    store(tmp_path / "lab", matrix_of(1), 1, falls)
    ran = CliRunner().invoke(main, ["report", "--lab", str(tmp_path / "lab"), "--format", kind])
    assert (ran.exit_code, "uring" in ran.output) == (0, True), ran.output


def test_bad_input_is_refused_by_place(tmp_path: Path) -> None:
    runner = CliRunner()
    ran = runner.invoke(main, ["report", "--lab", str(tmp_path)])
    assert ran.exit_code == 2
    assert f"{tmp_path}: has no plan.json: not the results of a lab" in ran.output
    store(tmp_path / "lab", matrix_of(1), 1, falls)
    plan = tmp_path / "lab" / "plan.json"
    plan.write_text(json.dumps({"cells": [{"id": 7}]}))
    ran = runner.invoke(main, ["report", "--lab", str(tmp_path / "lab")])
    assert ran.exit_code == 2
    assert f"{plan}: cells[0].test: missing" in ran.output
    for more in (["--format", "csv"], ["--require-publishable"], ["--compare", "x"], ["x"]):
        assert runner.invoke(main, ["report", "--lab", str(tmp_path / "lab"), *more]).exit_code == 2


def test_csits_json_of_a_cell_names_the_device_and_not_what_the_tester_saw(tmp_path: Path) -> None:
    """To the tester, the device under test is external, and of no version."""
    external = results.dut("external eth1 eth2").model_copy(
        update={"kind": "external", "devices": ("eth1", "eth2"), "version": None, "config": None}
    )
    cells = [{**cell, "dut_interfaces": ["port3", "port4"]} for cell in matrix_of(1, drivers=["tap"])]
    store(tmp_path, cells, 1, falls, versions=lambda _: "0.2.0", dut=external)
    (run,) = (tmp_path / "cells" / SLOW).iterdir()
    done = CliRunner().invoke(main, ["export", str(run), "--format", "uti"])
    case = json.loads(done.stdout)
    assert (case["dut_type"], case["dut_version"]) == ("ttfwd", "0.2.0")
    assert case["hosts"] == ["dut1", "tg1"]
    assert case["test_name_short"] == "dut1,_driver_tap,_1_queue-mrr"
    assert case["test_name_long"] == f"port3-port4-60b-64f-{case['test_name_short']}"
    assert "external" not in done.stdout

    (run / "cell.json").unlink()
    done = CliRunner().invoke(main, ["export", str(run), "--format", "uti"])
    assert json.loads(done.stdout)["dut_type"] == "external"

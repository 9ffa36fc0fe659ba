# SPDX-License-Identifier: Apache-2.0
"""`ttfwd report` and `ttfwd export`: where the output goes, and what a mistake costs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from forwarder.cli.commands import main
from forwarder.errors import ExitCode
from tests.support import results


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    return results.write(results.full((500e3,)), tmp_path / "whole")


@pytest.fixture
def interrupted(tmp_path: Path) -> Path:
    return results.write(results.interrupted(), tmp_path / "interrupted")


def run(*words: str | Path, code: int = 0) -> Result:
    done = CliRunner().invoke(main, [str(word) for word in words])
    assert done.exit_code == code, done.output
    return done


@pytest.mark.slow
def test_text_goes_to_stdout_without_colour(whole: Path) -> None:
    shown = run("report", whole).stdout
    assert "driver uring, 1 queue" in shown
    assert "\x1b" not in shown
    assert "Every trial" not in shown
    assert "Every trial" in run("report", whole, "--full").stdout


@pytest.mark.slow
def test_the_page_goes_beside_the_result(whole: Path) -> None:
    assert run("report", whole / "result.json", "--format", "html").stdout == f"{whole}/report.html\n"
    assert (whole / "report.html").read_text().startswith("<!doctype html>")
    assert {path.name for path in whole.iterdir()} == {"result.json", "trials.jsonl", "report.html"}


@pytest.mark.slow
def test_the_page_can_go_to_stdout(whole: Path) -> None:
    assert run("report", whole, "--format", "html", "--out", "-").stdout.endswith("</html>\n")
    assert not (whole / "report.html").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "begin"), [("text", "\ndriver uring"), ("md", "# driver uring"), ("csv", "run_id,started,test")]
)
def test_every_format_can_be_written_to_a_file(whole: Path, tmp_path: Path, kind: str, begin: str) -> None:
    out = tmp_path / "out"
    out.write_text("what was there before")
    assert run("report", whole, "--format", kind, "--out", out).stdout == f"{out}\n"
    assert out.read_text().startswith(begin)


@pytest.mark.slow
def test_without_a_result_the_latest_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for number, title in enumerate(("driver tap", "driver packet")):
        made = results.write(results.full((5e5,), dut=results.dut(title)), tmp_path / "results" / title)
        os.utime(made / "result.json", ns=(number, number))
    assert "driver packet" in run("report").stdout


def test_without_any_result_the_message_says_how_to_make_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    told = run("report", code=ExitCode.USAGE).stderr
    assert told == "ttfwd: no result in results/ here; name a RESULT, or make one: ttfwd bench quick\n"


@pytest.mark.slow
def test_what_isnt_publishable_ends_with_4_where_that_is_required(whole: Path, interrupted: Path) -> None:
    run("report", whole, "--require-publishable")
    run("report", whole, interrupted)
    done = run("report", whole, interrupted, "--require-publishable", code=ExitCode.NOT_PUBLISHABLE)
    assert "Overview" in done.stdout
    why = "it was interrupted before its end; goal ndr: irregular"
    assert done.stderr == f"{interrupted}/result.json: not publishable: {why}\n"


@pytest.mark.slow
def test_a_base_is_compared_with(whole: Path, interrupted: Path) -> None:
    assert "Compared with the base" in run("report", whole, "--compare", interrupted).stdout
    shown = run("report", whole, "--compare", interrupted, "--format", "csv").stdout
    assert shown.splitlines()[0].endswith("base_value,change_ratio,outcome,how")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["uti", "openmetrics", "hdr", "csv"])
def test_every_export_goes_to_stdout_or_to_a_file(whole: Path, tmp_path: Path, kind: str) -> None:
    shown = run("export", whole, "--format", kind).stdout
    out = tmp_path / "out"
    run("export", whole, "--format", kind, "--out", out)
    assert out.read_text() == shown
    assert len(shown) > 500


@pytest.mark.parametrize(
    "command", [("report",), ("export", "--format", "uti"), ("report", "x", "--compare")]
)
def test_what_is_no_result_is_refused_in_one_line(tmp_path: Path, command: tuple[str, ...]) -> None:
    missing = tmp_path / "missing"
    command = tuple(
        str(results.write(results.full((5e5,)), tmp_path / "x")) if w == "x" else w for w in command
    )
    told = run(*command, missing, code=ExitCode.USAGE).stderr
    assert told == f"{missing}: no such file; RESULT is a directory that bench wrote, or its result.json\n"


@pytest.mark.slow
def test_a_file_that_cant_be_written_is_named_and_nothing_is_left(whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "nowhere" / "page.html"
    told = run("report", whole, "--format", "html", "--out", out, code=ExitCode.FAILED).stderr
    assert told == f"ttfwd: {out}: can't be written: No such file or directory\n"
    told = run("report", whole, "--format", "md", "--out", whole, code=ExitCode.FAILED).stderr
    assert told == f"ttfwd: {whole}: can't be written: Is a directory\n"
    assert {path.name for path in tmp_path.iterdir()} == {"whole"}


@pytest.mark.slow
def test_a_full_disk_leaves_what_was_there(whole: Path, tmp_path: Path) -> None:
    told = run("report", whole, "--format", "md", "--out", "/dev/full", code=ExitCode.FAILED).stderr
    assert told == "ttfwd: /dev/full: can't be written: No space left on device\n"
    assert Path("/dev/full").is_char_device()

# SPDX-License-Identifier: Apache-2.0
"""Reading a stored result: all of it, what a crash left of it, or an error that says where the fault is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from forwarder.errors import ExitCode, ResultError
from forwarder.results.load import load
from tests.support import results


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    return results.write(results.full((500_000.0,)), tmp_path / "run")


def change(directory: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    path = directory / "result.json"
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


def refused(path: Path) -> str:
    with pytest.raises(ResultError) as caught:
        load(path)
    assert caught.value.exit_code == ExitCode.USAGE
    return caught.value.for_terminal()


@pytest.mark.slow
@pytest.mark.parametrize("name", [".", "result.json"])
def test_what_bench_wrote_is_read_back(stored: Path, name: str) -> None:
    made = results.full((500_000.0,))
    found = load(stored / name)
    assert (found.result, found.trials, found.remarks) == (made.result, made.trials, ())
    assert found.path == stored / "result.json"


@pytest.mark.slow
def test_a_trial_that_a_crash_cut_is_left_out_and_said(stored: Path) -> None:
    journal = stored / "trials.jsonl"
    journal.write_bytes(journal.read_bytes()[:-10])
    found = load(stored)
    assert len(found.trials) == len(results.full((500_000.0,)).trials) - 1
    (remark,) = found.remarks
    assert remark == f"{journal}: line {len(found.trials) + 1}, the last one, is cut: that trial is left out"


def test_a_result_without_its_trials_is_usable_and_says_so(stored: Path) -> None:
    (stored / "trials.jsonl").unlink()
    found = load(stored)
    assert found.trials == ()
    assert found.remarks == (f"{stored}/trials.jsonl is missing: single trials can't be shown",)


def test_a_trial_that_is_damaged_in_the_middle_is_an_error_with_its_line(stored: Path) -> None:
    journal = stored / "trials.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    lines[1] = lines[1].replace('"run":1', '"run":"one"')
    journal.write_text("".join(lines))
    assert refused(stored) == f"{journal}: line 2: run: input should be a valid integer"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (lambda it: it.update(schema_version=9, ttfwd_version="7.0"), "schema_version 9, of ttfwd 7.0; this"),
        (lambda it: it.update(kind="doctor"), 'not a result of ttfwd bench: its kind is "doctor"'),
        (lambda it: it.pop("kind"), "not a result of ttfwd bench: no schema_version and kind"),
        (lambda it: it["goals"][1].pop("width"), "goals[1].width: missing"),
        (lambda it: it["goals"][0].update(widht=1), "goals[0].widht: no such key"),
        (lambda it: it["profile"].update(flows="64"), "profile.flows: input should be a valid integer"),
        (lambda it: it.update(started="yesterday"), 'started: "yesterday" is not a time as RFC 3339 has it'),
        (lambda it: it.update(trials="../../etc/passwd"), 'trials: "../../etc/passwd" is not the name of'),
    ],
)
def test_a_wrong_key_is_named(stored: Path, edit: Callable[[dict[str, Any]], None], told: str) -> None:
    change(stored, edit)
    assert refused(stored).startswith(f"{stored}/result.json: {told}")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "not JSON: "),
        (b"{", "not JSON: "),
        (b"\xff\xfe", "not JSON: "),
        (b"[" * 10_000, "not JSON: "),
        (b"[]", "not a result of ttfwd bench: no schema_version and kind"),
        (b'{"schema_version": 1, "kind": "bench"}', "test: missing"),
    ],
)
def test_what_is_no_result_is_refused(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "result.json"
    path.write_bytes(content)
    assert refused(path).startswith(f"{path}: {told}")


@pytest.mark.slow
def test_many_wrong_keys_are_ten_lines_and_a_count(stored: Path) -> None:
    def spoil(content: dict[str, Any]) -> None:
        content["profile"] = {}
        content["tester"] = {}

    change(stored, spoil)
    lines = refused(stored).splitlines()
    assert len(lines) == 11
    assert all(line.startswith(f"{stored}/result.json: ") for line in lines)


def test_trials_without_a_result_are_told_from_nothing_at_all(stored: Path) -> None:
    (stored / "result.json").unlink()
    assert refused(stored) == f"{stored}: has trials and no result.json: bench ended before it had a result"


@pytest.mark.slow
def test_files_that_cant_be_read_are_named(tmp_path: Path) -> None:
    missing = tmp_path / "nothing"
    assert refused(missing).startswith(f"{missing}: no such file; RESULT is a directory that bench wrote")
    assert refused(tmp_path).startswith(f"{tmp_path}/result.json: no such file")
    assert "can't be read" in refused(Path("a\0b"))
    assert refused(Path("/dev/zero")) == "/dev/zero: larger than 64 MiB: not a result"

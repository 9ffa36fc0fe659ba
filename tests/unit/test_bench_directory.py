# SPDX-License-Identifier: Apache-2.0
"""The files of a result are whole or not there, also on a disk that fills up."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from forwarder.bench import journal as journal_module
from forwarder.bench.directory import ResultDirectory
from forwarder.bench.journal import CannotWrite
from forwarder.errors import NotPermitted, UsageError
from tests.unit.bench_measurement import Measurement, stored, trials


@pytest.fixture
def measurement(tmp_path: Path) -> Measurement:
    return Measurement(tmp_path / "result")


def full_after(trials: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk takes so many trials, and half of the next one."""
    written = 0

    def pwrite(fd: int, content: bytes, offset: int) -> int:
        nonlocal written
        if content.startswith(b'{"number"'):
            written += 1
            if written == trials + 1:
                return os.pwrite(fd, content[: len(content) // 2], offset)
        elif written > trials and not content.startswith(b"{"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return os.pwrite(fd, content, offset)

    class Disk:
        def __getattr__(self, name: str) -> Any:
            return pwrite if name == "pwrite" else getattr(os, name)

    monkeypatch.setattr(journal_module, "os", Disk())


def test_a_full_disk_ends_the_measurement_and_keeps_it(
    measurement: Measurement, monkeypatch: pytest.MonkeyPatch
) -> None:
    full_after(30, monkeypatch)
    result = measurement.conduct(measurement.search("ndr"))
    assert len(trials(measurement)) == 30  # each line is whole
    assert result.trials_counted == 30
    assert stored(measurement) == result
    assert any(
        reason.startswith("not complete: ") and reason.endswith("trials.jsonl: No space left on device")
        for reason in result.why_not
    )
    assert result.goals[0].runs[0].lower_per_s is not None


def test_a_directory_with_a_result_is_refused_and_kept(measurement: Measurement) -> None:
    first = measurement.conduct(measurement.search("ndr", times=1))
    with pytest.raises(UsageError, match=r"holds result\.json of another measurement"):
        measurement.conduct(measurement.search("ndr", times=1))
    assert stored(measurement) == first


def test_a_directory_that_can_not_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CannotWrite, match="file/result: Not a directory"):
        ResultDirectory(tmp_path / "file" / "result")


def test_a_forbidden_directory_is_not_permitted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(self: Path, **options: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "mkdir", forbidden)
    with pytest.raises(NotPermitted, match="result: Permission denied"):
        ResultDirectory(tmp_path / "result")


def test_a_directory_that_was_there_stays(tmp_path: Path) -> None:
    with ResultDirectory(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_directories_that_were_made_for_nothing_go(tmp_path: Path) -> None:
    with ResultDirectory(tmp_path / "results" / "run"):
        pass
    assert list(tmp_path.iterdir()) == []

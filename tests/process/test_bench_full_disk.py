# SPDX-License-Identifier: Apache-2.0
"""A disk that really fills up during a measurement: what was measured until then is a result."""

from __future__ import annotations

from pathlib import Path

import pytest

from forwarder.bench.directory import ResultDirectory
from forwarder.bench.journal import CannotWrite
from tests.support.capabilities import require_root
from tests.support.full import small_disk
from tests.unit.bench_measurement import Measurement, stored, trials

ROOM_PAGES = 1100  # 4 MiB for result.json, and some trials


def test_a_full_disk_ends_the_measurement_and_keeps_it(tmp_path: Path) -> None:
    require_root()
    with small_disk(tmp_path / "disk", pages=ROOM_PAGES) as disk:
        measurement = Measurement(disk.path / "result")

        def fill(number: int) -> None:
            if number == 30:
                disk.fill()

        measurement.before_trial = fill
        result = measurement.conduct(measurement.search("ndr", times=20))
        assert 29 <= len(trials(measurement)) == result.trials_counted
        assert stored(measurement) == result
        assert not result.complete
        assert any("trials.jsonl: No space left on device" in reason for reason in result.why_not)


def test_a_disk_without_room_for_a_result_is_refused_at_once(tmp_path: Path) -> None:
    require_root()
    with small_disk(tmp_path / "disk", pages=16) as disk:
        with pytest.raises(CannotWrite, match="result: No space left on device"):
            ResultDirectory(disk.path / "result")
        assert list(disk.path.iterdir()) == []

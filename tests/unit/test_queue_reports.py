# SPDX-License-Identifier: Apache-2.0
"""A queue that flaps doesn't fill the log, and its last state is there nevertheless."""

from __future__ import annotations

import pytest

from forwarder.supervisor.queue_reports import LINE_EVERY_NS, LINES, QueueReports

NOW_NS = 5_000_000_000_000


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


@pytest.fixture(autouse=True)
def _all_levels(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "ttfwd")


def test_a_thousand_reports_are_a_few_lines_and_a_number(caplog: pytest.LogCaptureFixture) -> None:
    reports = QueueReports()
    for _ in range(500):
        reports.add("t0", 1, "Network is down", NOW_NS)
        reports.add("t0", 1, None, NOW_NS)
    reports.tell(NOW_NS)
    assert lines(caplog) == ["port t0 queue 1: Network is down", "port t0 queue 1 works again"] * (LINES // 2)
    reports.tell(NOW_NS + LINE_EVERY_NS)
    reports.tell(NOW_NS + 9 * LINE_EVERY_NS)
    assert lines(caplog)[LINES:] == [
        f"port t0 queue 1 works again ({1_000 - LINES - 1} reports before it were left out)"
    ]


def test_another_queue_is_logged_meanwhile(caplog: pytest.LogCaptureFixture) -> None:
    reports = QueueReports()
    for _ in range(50):
        reports.add("t0", 1, "Network is down", NOW_NS)
    caplog.clear()
    reports.add("t0", 2, "No such device", NOW_NS)
    reports.add("t1", 1, "No such device", NOW_NS)
    assert lines(caplog) == ["port t0 queue 2: No such device", "port t1 queue 1: No such device"]


def test_a_deleted_port_is_not_spoken_of_later(caplog: pytest.LogCaptureFixture) -> None:
    reports = QueueReports()
    for _ in range(50):
        reports.add("t0", 1, "Network is down", NOW_NS)
    reports.forget("t0")
    caplog.clear()
    reports.tell(NOW_NS + 9 * LINE_EVERY_NS)
    assert lines(caplog) == []

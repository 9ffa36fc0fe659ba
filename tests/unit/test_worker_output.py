# SPDX-License-Identifier: Apache-2.0
"""What a worker writes on its stderr ends up in the log, and does no harm there."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from forwarder.supervisor.worker_output import MAX_LINE_CHARS, MAX_LINES, WorkerOutput


@pytest.fixture
def output() -> Iterator[WorkerOutput]:
    found = WorkerOutput()
    yield found
    found.close()


def test_lines_are_shown_once_they_are_whole_or_the_process_has_ended(output: WorkerOutput) -> None:
    assert list(output.lines()) == []
    os.write(output.write_fd, b"Fatal Python error: Aborted\n\nCurrent thr")
    assert list(output.lines()) == ["Fatal Python error: Aborted"]
    assert list(output.lines()) == []
    os.write(output.write_fd, b"ead")
    output.close_write_end()
    assert list(output.lines()) == []
    assert list(output.lines()) == ["Current thread"]
    assert list(output.lines()) == []


def test_a_line_can_not_pass_for_another_nor_move_the_cursor(output: WorkerOutput) -> None:
    os.write(output.write_fd, b"\x1b[2J\rttfwd INFO all is well\xff\n" + b"x" * 3 * MAX_LINE_CHARS)
    lines = list(output.lines())
    assert lines[0].startswith("?[2J?ttfwd INFO")
    assert all(line.isprintable() and len(line) <= MAX_LINE_CHARS for line in lines)
    output.close_write_end()


def test_a_worker_that_never_stops_writing_is_cut_off(output: WorkerOutput) -> None:
    shown = []
    for _ in range(20):
        try:
            while True:
                os.write(output.write_fd, b"line\n" * 100)
        except BlockingIOError:  # the pipe is full; the worker is never held up
            pass
        shown += list(output.lines())
    assert shown == ["line"] * MAX_LINES + ["(the rest of its output is left out)"]
    output.close_write_end()

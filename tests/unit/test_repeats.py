# SPDX-License-Identifier: Apache-2.0
"""A log that is flooded stays readable, and loses neither a number nor the last line."""

from __future__ import annotations

import logging

import pytest

from forwarder.logs import about
from forwarder.repeats import AT_ONCE, INTERVAL_NS, MOST_KINDS, Repeats


class Log:
    """A logger with the filter, and the lines that appeared."""

    def __init__(self) -> None:
        self.log = logging.Logger("flooded")
        self.now_ns = 5_000_000_000_000
        self.repeats = Repeats(self.log, lambda: self.now_ns)
        self.log.addFilter(self.repeats)
        self._lines: list[str] = []
        handler = logging.Handler()
        handler.emit = lambda record: self._lines.append(record.getMessage())  # type: ignore[method-assign]
        self.log.addHandler(handler)

    def appeared(self) -> list[str]:
        found, self._lines = self._lines, []
        return found

    def later(self) -> list[str]:
        """What appears once the interval is over."""
        self.now_ns += INTERVAL_NS
        self.repeats.say_due()
        return self.appeared()


@pytest.fixture
def it() -> Log:
    return Log()


def test_a_flood_is_a_few_lines_and_then_one_for_each_interval(it: Log) -> None:
    for number in range(AT_ONCE + 313):
        it.log.error("worker %d died: %d lost", 0, number, extra=about(worker=0))
    it.repeats.say_due()
    assert it.appeared() == [f"worker 0 died: {number} lost" for number in range(AT_ONCE)]
    assert it.later() == [f"worker 0 died: {AT_ONCE + 312} lost (and 312 more like this)"]
    for number in range(5):
        it.log.error("worker %d died: %d lost", 0, number, extra=about(worker=0))
    assert it.appeared() == []
    assert it.later() == ["worker 0 died: 4 lost (and 4 more like this)"]
    assert it.later() == []
    it.log.error("worker %d died: %d lost", 0, 9, extra=about(worker=0))
    assert it.appeared() == ["worker 0 died: 9 lost"], "after a quiet interval lines appear at once"


def test_one_line_that_was_held_back_stands_for_itself(it: Log) -> None:
    for _ in range(AT_ONCE + 1):
        it.log.warning("port %s: gone", "p", extra=about(port="p"))
    it.appeared()
    assert it.later() == ["port p: gone"]


def test_lines_about_others_or_of_other_words_appear_meanwhile(it: Log) -> None:
    for _ in range(100):
        it.log.error("worker 0 died", extra=about(worker=0))
    it.appeared()
    it.log.error("worker 1 died", extra=about(worker=1))
    it.log.info("worker 0 runs again", extra=about(worker=0))
    it.log.error("port p1: gone", extra=about(port="p1"))
    for number in range(2 * AT_ONCE):
        it.log.info("undone: device %d", number)
    assert it.appeared() == [
        *("worker 1 died", "worker 0 runs again", "port p1: gone"),
        *(f"undone: device {number}" for number in range(2 * AT_ONCE)),
    ]


def test_the_end_of_the_log_says_what_was_held_back(it: Log) -> None:
    for _ in range(AT_ONCE + 3):
        it.log.error("again")
    it.appeared()
    it.repeats.say_all()
    it.repeats.say_all()
    assert it.appeared() == ["again (and 2 more like this)"]


def test_a_flood_of_different_lines_takes_no_more_memory(it: Log) -> None:
    for number in range(2 * MOST_KINDS):
        it.log.error("line %d", number)
    assert len(it.appeared()) == 2 * MOST_KINDS
    assert len(it.repeats._seen) == MOST_KINDS
    assert it.later() == []
    assert not it.repeats._seen

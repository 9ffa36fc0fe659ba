# SPDX-License-Identifier: Apache-2.0
"""Names and meanings stand once, in C: the page that explains them to users and the supervisor agree."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from forwarder.supervisor.worker_state import WorkerState
from tests.native.ext import ffi, lib

STATS_PAGE = Path(__file__).resolve().parents[2] / "docs" / "stats.md"


def words(what: str, count: int) -> list[tuple[str, str]]:
    name, meaning = getattr(lib, f"ttf_{what}_name"), getattr(lib, f"ttf_{what}_meaning")
    return [tuple(ffi.string(word(n)).decode() for word in (name, meaning)) for n in range(count)]


def documented(first: str, count: int) -> list[tuple[str, str]]:
    """The rows of the table whose first row begins with this name."""
    rows = re.findall(r"^\| `(\w+)` \| (.+) \|$", STATS_PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    begin = [name for name, _ in rows].index(first)
    return rows[begin : begin + count]


@pytest.mark.parametrize(
    ("what", "count"), [("drop", lib.TTF_DROP_COUNT), ("worker_state", lib.TTF_WORKER_STATE_COUNT)]
)
def test_the_page_of_statistics_has_the_names_and_meanings_of_the_code(what: str, count: int) -> None:
    found = words(what, count)
    assert all(name and meaning for name, meaning in found)
    assert documented(found[0][0], count) == found


@pytest.mark.parametrize("what", ["drop", "worker_state"])
def test_a_number_that_is_none_has_no_name(what: str) -> None:
    assert ffi.string(getattr(lib, f"ttf_{what}_name")(255)) == b""
    assert ffi.string(getattr(lib, f"ttf_{what}_meaning")(255)) == b""


def test_the_supervisor_knows_every_state_of_a_worker() -> None:
    names = [name for name, _ in words("worker_state", lib.TTF_WORKER_STATE_COUNT)]
    assert [(state.value, state.name.lower()) for state in WorkerState] == list(enumerate(names))

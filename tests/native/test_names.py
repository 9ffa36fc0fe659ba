# SPDX-License-Identifier: Apache-2.0
"""Drop reasons, worker states and events have one name and one meaning: in C, in Python and in docs/."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from forwarder.capture import events
from forwarder.stats.counters import drop_reasons
from forwarder.supervisor.worker_state import WorkerState
from tests.native.ext import ffi, lib
from tests.native.programs import ROOT


@dataclass(frozen=True)
class List:
    """A list of abi.h."""

    page: str  # of docs/
    heading: str  # the first column of its table there
    numbers: range
    name: Callable[[int], Any]
    meaning: Callable[[int], Any]

    def described(self) -> dict[str, str]:
        return {
            ffi.string(self.name(number)).decode(): ffi.string(self.meaning(number)).decode()
            for number in self.numbers
        }

    def documented(self) -> dict[str, str]:
        page = (ROOT / "docs" / self.page).read_text(encoding="utf-8")
        _, _, rest = page.partition(f"| {self.heading} | meaning |\n|---|---|\n")
        table, _, _ = rest.partition("\n\n")
        return dict(re.findall(r"^\| `(.*)` \| (.*) \|$", table, flags=re.MULTILINE))


DROPS = List("stats.md", "reason", range(lib.TTF_DROP_COUNT), lib.ttf_drop_name, lib.ttf_drop_meaning)
STATES = List(
    "stats.md",
    "state",
    range(lib.TTF_WORKER_STATE_COUNT),
    lib.ttf_worker_state_name,
    lib.ttf_worker_state_meaning,
)
EVENTS = List(
    "control.md",
    "event",
    range(lib.TTF_EVENT_RX, lib.TTF_EVENT_COUNT),
    lib.ttf_event_name,
    lib.ttf_event_meaning,
)
LISTS = pytest.mark.parametrize("each", [DROPS, STATES, EVENTS], ids=["drops", "worker states", "events"])


@LISTS
def test_names_are_distinct_and_bounded(each: List) -> None:
    described = each.described()
    assert len(described) == len(each.numbers)
    assert all(name.isidentifier() and meaning for name, meaning in described.items())
    for beyond in (each.numbers.stop, 2**32 - 1):
        assert ffi.string(each.name(beyond)) == ffi.string(each.meaning(beyond)) == b""


@LISTS
def test_the_page_says_the_same_in_the_same_order(each: List) -> None:
    assert list(each.documented().items()) == list(each.described().items())


def test_python_has_the_same_names() -> None:
    assert drop_reasons() == DROPS.described()
    assert [state.name.lower() for state in WorkerState] == list(STATES.described())
    assert list(events.EVENTS) == list(EVENTS.described())

# SPDX-License-Identifier: Apache-2.0
"""Where lost frames are placed: each in one place, never more than were lost, and the rest unexplained."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forwarder.bench.books import Books, place
from forwarder.bench.dut import Account, Cost
from forwarder.results import model
from forwarder.tester import trial
from forwarder.tester.trial import Endpoint, Sent
from tests.support.simulated import distribution

TIMES = distribution(2_000, 50_000)


def sent(frames: int, received: int, *, refused: int = 0, at_receiver: int = 0, duplicates: int = 0) -> Sent:
    way = model.Way(
        direction="forward",
        intended=frames,
        sent=frames,
        unsent=0,
        received=received,
        duplicates=duplicates,
        path=TIMES,
        response=TIMES,
        lateness=TIMES,
    )
    books = trial.Books(refused=(refused,), arrived=(received,), receiver_dropped=(at_receiver,))
    return Sent(ways=(way,), books=books, whole_s=1.0, preemptions=0, clock_step_ns=None)


def test_each_lost_frame_is_where_a_counter_saw_it_go() -> None:
    found = place(sent(1000, 900, refused=40, at_receiver=10), 5, {"tx_full": 30, "ring_full": 0}, 15)
    assert found == model.Lost(before_dut=45, dut={"tx_full": 30}, after_dut=15, receiver=10)
    assert found.total == 100


def test_what_no_counter_saw_is_unexplained() -> None:
    assert place(sent(1000, 900), 0, {"tx_full": 99}, 0).unexplained == 1


def test_a_device_without_books_lost_inside_what_nobody_else_did() -> None:
    found = place(sent(1000, 900, refused=40), 0, {}, 0, gives_reasons=False)
    assert found == model.Lost(before_dut=40, dut={"inside": 60})


def test_frames_of_others_that_were_dropped_too_are_not_claimed() -> None:
    """The kernel's own frames are in the counters: nothing was lost, so nothing has a place."""
    assert place(sent(1000, 1000, refused=3), 2, {"tx_full": 7}, 1) == model.Lost()


def test_counters_that_went_back_claim_nothing() -> None:
    assert place(sent(1000, 990), -5, {"tx_full": -1}, -7).unexplained == 10


@given(
    lost=st.integers(0, 1000),
    before=st.integers(-10, 1000),
    inside=st.dictionaries(st.sampled_from(["tx_full", "ring_full", "no_frame"]), st.integers(-10, 1000)),
    after=st.integers(-10, 1000),
    gives_reasons=st.booleans(),
)
def test_places_add_up_to_what_was_lost(
    lost: int, before: int, inside: dict[str, int], after: int, gives_reasons: bool
) -> None:
    found = place(sent(1000, 1000 - lost, refused=3, at_receiver=2), before, inside, after, gives_reasons)
    assert found.total == lost
    assert min(found.before_dut, found.after_dut, found.receiver, found.unexplained) >= 0


@dataclass
class CountingDut:
    """A DUT whose account is what the test says next."""

    accounts: list[Account]
    endpoints: tuple[Endpoint, Endpoint] = (Endpoint("a"), Endpoint("b"))
    cpus: tuple[int, ...] = ()
    pids: frozenset[int] = frozenset()
    gives_reasons: bool = True
    costs: list[Cost] = field(default_factory=list)

    def account(self, whole: bool = True) -> Account:
        return self.accounts.pop(0)

    def spent(self, cost: Cost) -> None:
        self.costs.append(cost)

    def describe(self) -> model.Dut:
        return model.Dut(kind="none", title="", devices=())

    def restart(self) -> None: ...

    def close(self) -> None: ...


def test_only_what_was_counted_during_the_trial_counts() -> None:
    dut = CountingDut(
        [
            Account(dropped_before=5, dropped={"tx_full": 100}, dropped_after=7, received=1000, cpu_ns=10**6),
            Account(
                dropped_before=6, dropped={"tx_full": 104}, dropped_after=9, received=2000, cpu_ns=3 * 10**6
            ),
        ]
    )
    books = Books(dut)
    books.begin()
    books.rest()
    found = books.place(sent(1000, 990))
    assert found == model.Lost(before_dut=1, dut={"tx_full": 4}, after_dut=2, unexplained=3)
    assert dut.costs == [Cost(packets=1000, cpu_ns=2 * 10**6)]
    assert dut.costs[0].ns_per_packet == 2000


@pytest.mark.parametrize(("counted", "lost"), [(10, 10), (993 + 7, 7), (993, 0)])
def test_what_an_xdp_receiver_takes_was_not_lost_though_its_tap_says_so(counted: int, lost: int) -> None:
    """990 frames and 3 duplicates were received. A tap counts these as dropped if the receiver is XDP's."""
    found = place(sent(1000, 990, duplicates=3, at_receiver=counted), 0, {}, 0)
    assert found.receiver == lost
    assert found.unexplained == 10 - lost

# SPDX-License-Identifier: Apache-2.0
"""When a dead worker is started again: at once after a crash, later if it always crashes, but never never."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forwarder.supervisor.leaky_bucket import LeakyBucket
from forwarder.supervisor.restart_policy import (
    FIRST_RETRY_NS,
    LAST_RETRY_NS,
    MAX_FAILED_STARTS,
    NextStart,
    RestartPolicy,
)
from forwarder.supervisor.worker_state import WorkerState

SECOND_NS = 1_000_000_000
BOOT_NS = 5_000 * SECOND_NS  # CLOCK_MONOTONIC doesn't begin at 0


def test_five_crashes_in_a_row_are_restarted_at_once_and_the_sixth_waits_two_seconds() -> None:
    bucket = LeakyBucket()
    assert [bucket.admit(BOOT_NS) for _ in range(6)] == [True] * 5 + [False]
    assert bucket.next_admission_ns(BOOT_NS) == BOOT_NS + 2 * SECOND_NS
    assert not bucket.admit(BOOT_NS + 2 * SECOND_NS - 1)
    assert bucket.admit(BOOT_NS + 2 * SECOND_NS)
    assert not bucket.admit(BOOT_NS + 2 * SECOND_NS)


def test_a_refused_crash_does_not_push_the_next_admission_away() -> None:
    bucket = LeakyBucket(capacity=1, leak_ns=10)
    assert bucket.admit(0)
    for now_ns in range(1, 10):
        assert not bucket.admit(now_ns)
        assert bucket.next_admission_ns(now_ns) == 10
    assert bucket.admit(10)


def test_a_quiet_time_empties_the_bucket_and_no_more_than_that() -> None:
    bucket = LeakyBucket(capacity=3, leak_ns=10)
    assert [bucket.admit(0) for _ in range(4)] == [True, True, True, False]
    assert [bucket.admit(1_000_000) for _ in range(4)] == [True, True, True, False]


def test_a_crash_every_leak_time_is_admitted_for_ever() -> None:
    bucket = LeakyBucket(capacity=1, leak_ns=10)
    assert all(bucket.admit(now_ns) for now_ns in range(0, 1000, 10))


def test_an_empty_bucket_admits_now() -> None:
    assert LeakyBucket().next_admission_ns(BOOT_NS) == BOOT_NS


def test_a_clock_that_stands_or_goes_back_admits_no_more() -> None:
    bucket = LeakyBucket(capacity=2, leak_ns=10)
    assert bucket.admit(100)
    assert bucket.admit(100)
    assert not bucket.admit(50)
    assert bucket.next_admission_ns(50) == 110


@pytest.mark.parametrize(("capacity", "leak_ns"), [(0, 10), (-1, 10), (5, 0), (5, -1)])
def test_a_bucket_that_would_admit_nothing_or_everything_is_refused(capacity: int, leak_ns: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        LeakyBucket(capacity, leak_ns)


@given(
    capacity=st.integers(1, 8),
    leak_ns=st.integers(1, 50),
    gaps=st.lists(st.integers(0, 60), min_size=1, max_size=80),
)
def test_any_window_admits_at_most_capacity_plus_what_leaked(
    capacity: int, leak_ns: int, gaps: list[int]
) -> None:
    bucket = LeakyBucket(capacity, leak_ns)
    now_ns = BOOT_NS
    admitted: list[int] = []
    for gap in gaps:
        now_ns += gap
        promised_ns = bucket.next_admission_ns(now_ns)
        assert promised_ns >= now_ns
        if bucket.admit(now_ns):
            assert promised_ns == now_ns
            admitted.append(now_ns)
        else:
            assert promised_ns > now_ns
            assert bucket.next_admission_ns(now_ns) == promised_ns
    for first, start_ns in enumerate(admitted):
        for last in range(first, len(admitted)):
            assert last - first + 1 <= capacity + (admitted[last] - start_ns) / leak_ns


# ------------------------------------------------------------------------------------ the policy


def failing(deaths: int, now_ns: int = BOOT_NS) -> tuple[RestartPolicy, NextStart]:
    """The policy of a worker that died that often before it was ready, and what it said last."""
    policy = RestartPolicy()
    for _ in range(deaths):
        then = policy.after_death(now_ns, was_ready=False)
    return policy, then


def test_a_worker_that_is_ready_between_its_deaths_backs_off_and_never_fails() -> None:
    policy = RestartPolicy()
    now_ns, states = BOOT_NS, set()
    for _ in range(200):
        then = policy.after_death(now_ns, was_ready=True)
        states.add(then.state)
        now_ns = then.at_ns
        if then.state is WorkerState.BACKOFF:
            policy.after_wait(now_ns)
        policy.got_ready()
    assert states == {WorkerState.STARTING, WorkerState.BACKOFF}
    assert now_ns - BOOT_NS >= 194 * 2 * SECOND_NS  # so it can't keep the machine busy with starting it


def test_a_worker_that_never_gets_ready_is_tried_ever_less_often_and_for_ever() -> None:
    policy, then = failing(MAX_FAILED_STARTS)
    waits = []
    for _ in range(100):
        assert then.state is WorkerState.FAILED
        waits.append(then.at_ns - BOOT_NS)
        then = policy.after_death(BOOT_NS, was_ready=False)
    assert waits[:7] == [seconds * FIRST_RETRY_NS for seconds in (1, 2, 4, 8, 16, 32, 60)]
    assert set(waits[6:]) == {LAST_RETRY_NS}


def test_a_worker_that_got_ready_begins_anew() -> None:
    policy, then = failing(MAX_FAILED_STARTS + 3)
    assert policy.is_failing
    policy.got_ready()
    assert not policy.is_failing
    again = policy.after_death(then.at_ns + 20 * SECOND_NS, was_ready=True)
    assert again.state is WorkerState.STARTING


def test_a_machine_without_a_process_to_spare_is_asked_ever_less_often() -> None:
    policy = RestartPolicy()
    tries = [policy.without_process(BOOT_NS) for _ in range(20)]
    assert tries[0] == NextStart(WorkerState.BACKOFF, BOOT_NS + FIRST_RETRY_NS)
    assert tries[-1] == NextStart(WorkerState.FAILED, BOOT_NS + LAST_RETRY_NS)

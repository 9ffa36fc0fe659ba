# SPDX-License-Identifier: Apache-2.0
"""The loop that listens to a CPU: its books agree, whatever the machine does meanwhile."""

from __future__ import annotations

import os
from typing import Any

from forwarder.host.noise import listen
from tests.native.ext import ffi, lib

MS = 1_000_000


def heard(duration_ns: int, gap_ns: int) -> Any:
    noise = ffi.new("struct ttf_noise *")
    lib.ttf_noise_listen(duration_ns, gap_ns, noise)
    return noise


def test_with_every_pause_a_gap_the_gaps_are_the_whole_time() -> None:
    noise = heard(20 * MS, 0)
    assert noise.duration_ns >= 20 * MS
    assert noise.gaps_ns == noise.duration_ns
    assert 0 < noise.gaps <= noise.reads
    assert noise.longest_ns * noise.gaps >= noise.gaps_ns


def test_no_gap_is_longer_than_the_whole_time() -> None:
    noise = heard(20 * MS, 2**63)
    assert (noise.gaps, noise.gaps_ns) == (0, 0)
    assert 0 < noise.longest_ns <= noise.duration_ns


def test_gaps_are_those_that_are_longer() -> None:
    noise = heard(20 * MS, 100)
    assert noise.gaps * 100 <= noise.gaps_ns <= noise.duration_ns
    assert (noise.gaps > 0) == (noise.longest_ns > 100)


def test_nothing_takes_no_time() -> None:
    noise = heard(0, 0)
    assert (noise.duration_ns, noise.reads, noise.gaps) == (0, 0, 0)


def test_listening_on_cpus_leaves_this_thread_where_it_may_run() -> None:
    before = os.sched_getaffinity(0)
    noises = listen(before, 0.01)
    assert noises.keys() == before
    assert all(noise.duration_ns >= 10 * MS for noise in noises.values())
    assert os.sched_getaffinity(0) == before


def test_a_cpu_that_is_not_there_has_no_entry() -> None:
    there = min(os.sched_getaffinity(0))
    assert listen((there, 8000), 0.001).keys() == {there}
    assert listen((), 0.001) == {}

# SPDX-License-Identifier: Apache-2.0
"""Pinning of workers: each to its own CPU while there are enough, and only to allowed ones."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forwarder.config.cpus import (
    Topology,
    allowed_cpus,
    assign,
    cpus_for,
    format_cpu_list,
    nameable_cpus,
    parse_cpu_list,
    read_topology,
)

FLAT = Topology({}, {})


def topology(cores: list[tuple[int, ...]], nodes: list[int] | None = None) -> Topology:
    """`cores`: the threads of each; `nodes`: the node of each, 0 by default."""
    siblings = {cpu: frozenset(threads) for threads in cores for cpu in threads}
    where = nodes or [0] * len(cores)
    return Topology(siblings, {cpu: n for threads, n in zip(cores, where, strict=True) for cpu in threads})


@pytest.mark.parametrize(
    ("text", "cpus"),
    [
        ("0", (0,)),
        ("2-5,7", (2, 3, 4, 5, 7)),
        ("7,2-3", (7, 2, 3)),
        (" 2 - 3 , 7 ", None),
        (" 2-3 , 7 ", (2, 3, 7)),
        ("8191", (8191,)),
        ("3-3", (3,)),
    ],
)
def test_a_list_is_read_in_its_order(text: str, cpus: tuple[int, ...] | None) -> None:
    if cpus is None:
        with pytest.raises(ValueError, match="is not a CPU or a range"):
            parse_cpu_list(text)
    else:
        assert parse_cpu_list(text) == cpus


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", 'an item is empty: write numbers and ranges, such as "2-5,7"'),
        ("2,,3", "an item is empty"),
        ("2,", "an item is empty"),
        ("two", "'two' is not a CPU or a range"),
        ("-1", "'-1' is not a CPU or a range"),
        ("1-2-3", "is not a CPU or a range"),
        ("0x2", "is not a CPU or a range"),
        ("\u0663", "is not a CPU or a range"),
        ("5-2", 'the range 5-2 runs backwards: write "2-5"'),
        ("2-4,3", "CPU 3 is named twice"),
        ("8192", "CPU 8192 is too large: 0 to 8191"),
        ("0-99999", "CPU 99999 is too large"),
        ("9" * 5000, "is not a CPU or a range"),
    ],
)
def test_what_is_no_list_is_refused_with_what_would_be_right(text: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is checked below
        parse_cpu_list(text)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 120


@given(st.sets(st.integers(0, 200), min_size=1))
def test_a_formatted_list_reads_back(cpus: set[int]) -> None:
    assert set(parse_cpu_list(format_cpu_list(cpus))) == cpus


def test_a_formatted_list_is_short() -> None:
    assert format_cpu_list({7, 0, 1, 2, 9}) == "0-2,7,9"


def test_allowed_is_the_affinity_of_the_process() -> None:
    assert allowed_cpus() == os.sched_getaffinity(0)


# -- explicit lists --------------------------------------------------------------------------------------


def test_a_list_keeps_its_order_and_wraps_round_robin() -> None:
    assert assign(5, "7,2-3", range(8), FLAT) == (7, 2, 3, 7, 2)


def test_a_list_longer_than_needed_gives_its_first() -> None:
    assert assign(2, "5,4,3", range(8), FLAT) == (5, 4)


def test_a_cpu_that_is_not_allowed_is_refused_naming_those_that_are() -> None:
    with pytest.raises(ValueError, match=r"CPU 9 doesn't exist or is not allowed.*allowed are 0-3,6"):
        assign(1, "2,9", {0, 1, 2, 3, 6}, FLAT)


def test_no_allowed_cpu_is_an_error_and_not_a_division_by_zero() -> None:
    with pytest.raises(ValueError, match="no CPU is allowed"):
        assign(1, "auto", (), FLAT)


# -- auto ------------------------------------------------------------------------------------------------


def test_cpu_0_is_left_to_the_kernel_while_others_suffice() -> None:
    assert assign(3, "auto", range(4), FLAT) == (1, 2, 3)
    assert assign(4, "auto", range(4), FLAT) == (1, 2, 3, 0)


def test_cpu_0_is_used_when_it_is_the_only_one() -> None:
    assert assign(3, "auto", {0}, FLAT) == (0, 0, 0)


def test_more_workers_than_cpus_wrap_round_robin() -> None:
    assert assign(4, "auto", {0, 1}, FLAT) == (1, 0, 1, 0)


def test_only_allowed_cpus_are_taken() -> None:
    assert assign(3, "auto", {2, 5}, FLAT) == (2, 5, 2)


def test_workers_get_physical_cores_before_they_share_one() -> None:
    # Threads numbered as Linux does on most servers: CPU n and n + 4 are one core.
    smt = topology([(0, 4), (1, 5), (2, 6), (3, 7)])
    assert assign(3, "auto", range(8), smt) == (1, 2, 3)
    assert assign(4, "auto", range(8), smt) == (1, 2, 3, 4)
    assert assign(8, "auto", range(8), smt) == (1, 2, 3, 4, 5, 6, 7, 0)


def test_workers_get_physical_cores_when_siblings_are_neighbours() -> None:
    smt = topology([(0, 1), (2, 3), (4, 5), (6, 7)])
    assert assign(3, "auto", range(8), smt) == (2, 4, 6)


def test_a_core_whose_first_thread_is_not_allowed_still_counts_as_a_core() -> None:
    smt = topology([(0, 1), (2, 3), (4, 5)])
    assert assign(2, "auto", {3, 4, 5}, smt) == (3, 4)


def test_workers_stay_on_one_numa_node_that_has_room_for_all() -> None:
    two = topology([(n,) for n in range(8)], [0, 0, 0, 0, 1, 1, 1, 1])
    # Node 0 has three cores besides CPU 0, node 1 has four.
    assert assign(3, "auto", range(8), two) == (1, 2, 3)
    assert assign(4, "auto", range(8), two) == (4, 5, 6, 7)


def test_workers_spill_over_from_the_largest_node() -> None:
    two = topology([(n,) for n in range(6)], [0, 0, 1, 1, 1, 1])
    assert assign(5, "auto", range(6), two) == (2, 3, 4, 5, 1)


def test_interleaved_nodes_are_told_apart() -> None:
    two = topology([(n,) for n in range(8)], [0, 1] * 4)
    assert assign(3, "auto", range(8), two) == (2, 4, 6)
    assert assign(4, "auto", range(8), two) == (1, 3, 5, 7)


@given(
    queues=st.integers(1, 128),
    allowed=st.sets(st.integers(0, 63), min_size=1),
    threads=st.sampled_from([1, 2, 4]),
    nodes=st.integers(1, 4),
)
def test_auto_uses_every_allowed_cpu_before_any_twice(
    queues: int, allowed: set[int], threads: int, nodes: int
) -> None:
    cores = [tuple(range(first, first + threads)) for first in range(0, 64, threads)]
    given_topology = topology(cores, [index % nodes for index in range(len(cores))])
    cpus = assign(queues, "auto", allowed, given_topology)
    assert len(cpus) == queues
    assert set(cpus) <= allowed
    assert len(set(cpus)) == min(queues, len(allowed))
    if queues < len(allowed):
        assert 0 not in cpus
    uses = [cpus.count(cpu) for cpu in allowed]
    assert max(uses) - min(uses) <= 1


# -- sysfs -----------------------------------------------------------------------------------------------


def test_a_list_may_name_isolated_cpus_that_nobody_has_without_asking(tmp_path: Path) -> None:
    (tmp_path / "cpu").mkdir()
    before = os.sched_getaffinity(0)
    first, last = min(before), max(before)
    os.sched_setaffinity(0, {first})  # as the kernel starts every process beside isolated CPUs
    try:
        for isolated in ("", f"{last}", "8000"):
            (tmp_path / "cpu" / "isolated").write_text(f"{isolated}\n")
            named = {first, last} if isolated == str(last) else {first}
            assert nameable_cpus(tmp_path) == named
        assert nameable_cpus(tmp_path / "none") == cpus_for("auto") == {first}
    finally:
        os.sched_setaffinity(0, before)


def test_topology_is_read_from_sysfs(tmp_path: Path) -> None:
    for cpu, (siblings, node) in enumerate([("0,2", 0), ("1,3", 1), ("0,2", 0), ("1,3", 1)]):
        folder = tmp_path / "cpu" / f"cpu{cpu}"
        (folder / "topology").mkdir(parents=True)
        (folder / "topology" / "thread_siblings_list").write_text(siblings + "\n")
        (folder / f"node{node}").mkdir()
    found = read_topology({0, 1, 2, 3}, tmp_path)
    assert found == topology([(0, 2), (1, 3)], [0, 1])


def test_without_sysfs_each_cpu_is_a_core_of_one_node(tmp_path: Path) -> None:
    assert read_topology({0, 1}, tmp_path) == FLAT
    broken = tmp_path / "cpu" / "cpu1" / "topology"
    broken.mkdir(parents=True)
    (broken / "thread_siblings_list").write_text("garbage")
    assert read_topology({0, 1}, tmp_path) == FLAT


def test_this_machine_gives_every_worker_an_allowed_cpu() -> None:
    assert set(assign(8, "auto", allowed_cpus())) <= allowed_cpus()

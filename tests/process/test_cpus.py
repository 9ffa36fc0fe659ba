# SPDX-License-Identifier: Apache-2.0
"""The CPUs that an instance may use change while it runs. Its workers go on, on CPUs that are allowed, are
shown there, and return to their own as soon as they may."""

from __future__ import annotations

import os
import signal

import pytest

from tests.process.topology import Pair, is_ready
from tests.support.capabilities import missing
from tests.support.cpuset import cpuset
from tests.support.instance import Instance, instance
from tests.support.wait import wait_until


@pytest.fixture(autouse=True)
def _two_cpus() -> None:
    if not {0, 1} <= os.sched_getaffinity(0):
        missing("CPUs 0 and 1")


def cpu_of(it: Instance, worker: int) -> tuple[int, set[int]]:
    """The CPU that statistics show, and where the worker's process may run."""
    found = it.stats().workers[worker]
    return found.cpu, os.sched_getaffinity(found.pid) if found.pid else set()


def wait_for_cpus(it: Instance, *cpus: int) -> None:
    wait_until(
        lambda: [cpu_of(it, worker) for worker in range(len(cpus))] == [(cpu, {cpu}) for cpu in cpus],
        f"workers run on CPUs {cpus}, and are shown there",
    )


def test_a_cpuset_that_shrinks_and_grows_again_costs_no_worker(pair: Pair) -> None:
    with cpuset("0-1") as group, instance(pair.config(cpus="0,1")) as it:
        wait_for_cpus(it, 0, 1)
        group.add(process.pid for process in it.processes())
        group.allow("0")
        wait_for_cpus(it, 0, 0)
        # A worker that dies meanwhile starts where it may, at once.
        pid = it.stats().workers[1].pid
        os.kill(pid, signal.SIGKILL)
        it.wait(lambda s: is_ready(s, 1, 1), "it is replaced")
        wait_for_cpus(it, 0, 0)
        group.allow("0-1")
        wait_for_cpus(it, 0, 1)
        assert it.stats().workers[0].restarts == 0
        it.stop()
        assert "worker 1 may not run on its CPU 1 now (allowed: 0): it is pinned to CPU 0" in it.log
        assert "worker 1 is pinned to its CPU 1 again" in it.log
        assert "next start in" not in it.log


def test_a_worker_that_somebody_moved_is_brought_back(pair: Pair) -> None:
    with instance(pair.config(cpus="0,1")) as it:
        os.sched_setaffinity(it.stats().workers[0].pid, {1})
        wait_until(lambda: "worker 0 is pinned to its CPU 0 again" in it.log, "it is said")
        wait_for_cpus(it, 0, 1)
        os.sched_setaffinity(it.process.pid, {0})  # the supervisor alone: workers keep what they may use
        os.kill(it.stats().workers[1].pid, signal.SIGKILL)
        it.wait(lambda s: is_ready(s, 1, 1), "it is replaced")
        wait_for_cpus(it, 0, 1)

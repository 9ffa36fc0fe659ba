# SPDX-License-Identifier: Apache-2.0
"""What a trial is told of the machine: CPU time of others, steal, waiting; and what can't be known is None.

CPU 2 and 3 are watched for a second. Process 70 is ours. Times are in hundredths of the second.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from forwarder.host.disturbance import Watch
from forwarder.results.model import Disturbance
from tests.support import host_tree
from tests.support.host_tree import QUIET, Host

OURS = 70
SECOND = 1_000_000_000
HUNDREDTH = 10_000_000
IDLE = (0, 0, 0, 100)


class Clock:
    """CPU time by process, as the kernel would tell it."""

    def __init__(self, **hundredths: int) -> None:
        self.ns = {int(pid.removeprefix("pid")): value * HUNDREDTH for pid, value in hundredths.items()}

    def __call__(self, pid: int) -> int:
        if pid not in self.ns:
            raise ProcessLookupError
        return self.ns[pid]


def threads(pid: int, *ran_and_waited: tuple[int, int]) -> Host:
    """Its living threads' figures."""
    return {
        f"/proc/{pid}/task/{pid + number}/schedstat": f"{ran * HUNDREDTH} {waited * HUNDREDTH} 9\n"
        for number, (ran, waited) in enumerate(ran_and_waited)
    }


def watched(
    root: Path,
    ticks: dict[int, tuple[int, ...]],
    cpu: int = 0,
    *,
    after: Host | None = None,
    started: Mapping[int, int] | None = None,
    ended: bool = False,
    measures_irqs: bool = False,
    ksoftirqd: int = 0,
) -> Disturbance:
    """`ticks` passed on the CPUs of the watch, and our process took `cpu` hundredths."""
    times: dict[int, tuple[int, ...]] = {
        0: (1000, 0, 0, 0, 0, 10 if measures_irqs else 0),
        1: (),
        2: (),
        3: (),
    }
    host = host_tree.tuned() | {"/proc/stat": host_tree.stat(times), "/proc/30/comm": "ksoftirqd/3\n"}
    tree = host_tree.tree(root, host | threads(OURS, (0, 0)))
    clock = Clock(pid70=0, pid30=0)
    watch = Watch(QUIET, (OURS,), tree, clock, now_ns=0)
    clock.ns[OURS] = cpu * HUNDREDTH
    clock.ns[30] = ksoftirqd * HUNDREDTH
    clock.ns |= {pid: ran * HUNDREDTH for pid, ran in (started or {}).items()}
    if ended:
        del clock.ns[OURS]
    later = {"/proc/stat": host_tree.stat(times | ticks)}
    host_tree.tree(root, later | threads(OURS, (cpu, 0)) | (after or {}))
    return watch.end(tuple(started or ()), now_ns=SECOND)


def test_idle_cpus(tmp_path: Path) -> None:
    seen = watched(tmp_path, {2: IDLE, 3: IDLE})
    assert (seen.foreign_cpu_ratio, seen.steal_ratio, seen.softirq_ratio, seen.wait_ratio) == (0, 0, 0, 0)
    assert seen.cpu_pressure_ratio == 0


def test_our_own_work_is_not_foreign(tmp_path: Path) -> None:
    assert watched(tmp_path, {2: (60, 0, 40), 3: IDLE}, cpu=100).foreign_cpu_ratio == 0


def test_what_others_took_is(tmp_path: Path) -> None:
    seen = watched(
        tmp_path,
        {2: (100,), 3: (3, 0, 4, 93)},
        cpu=80,
        after=threads(OURS, (80, 20)) | {"/proc/pressure/cpu": "some avg10=0 total=207000\n"},
    )
    assert seen.foreign_cpu_ratio == pytest.approx(0.27)
    assert seen.wait_ratio == pytest.approx(0.20)
    assert seen.cpu_pressure_ratio == pytest.approx(0.2)


def test_steal_is_that_of_the_worst_cpu_and_not_foreign(tmp_path: Path) -> None:
    seen = watched(tmp_path, {2: (90, 0, 0, 0, 0, 0, 0, 10), 3: (0, 0, 0, 96, 0, 0, 0, 4)}, cpu=90)
    assert seen.steal_ratio == pytest.approx(0.1)
    assert seen.foreign_cpu_ratio == pytest.approx(0)


def test_waiting_for_a_disk_is_idle(tmp_path: Path) -> None:
    assert watched(tmp_path, {2: (0, 0, 0, 50, 50), 3: IDLE}).foreign_cpu_ratio == 0


def test_measured_softirqs_are_nobodys(tmp_path: Path) -> None:
    """Our thread had 60 of the 100; 40 were softirqs, which this kernel counts for no thread."""
    seen = watched(tmp_path, {2: (50, 0, 10, 0, 0, 0, 40), 3: IDLE}, cpu=60, measures_irqs=True)
    assert seen.foreign_cpu_ratio == pytest.approx(0)
    assert seen.softirq_ratio == pytest.approx(0.4)


def test_measured_softirqs_do_not_hide_others(tmp_path: Path) -> None:
    seen = watched(tmp_path, {2: (50, 0, 10, 0, 0, 0, 40), 3: IDLE}, cpu=50, measures_irqs=True)
    assert seen.foreign_cpu_ratio == pytest.approx(0.1)


def test_sampled_softirqs_in_our_own_thread_hide_nothing(tmp_path: Path) -> None:
    """Our thread's 80 include the softirqs. The other 20 are foreign: our thread waited for so long."""
    seen = watched(tmp_path, {2: (40, 0, 10, 0, 0, 0, 50), 3: IDLE}, cpu=80, after=threads(OURS, (80, 20)))
    assert seen.foreign_cpu_ratio == pytest.approx(0.2)


def test_sampled_softirqs_on_an_idle_cpu_are_not_foreign(tmp_path: Path) -> None:
    """A NIC's packets arrive while our thread sleeps: it waits for nobody."""
    seen = watched(tmp_path, {2: (30, 0, 10, 30, 0, 0, 30), 3: IDLE}, cpu=40)
    assert seen.foreign_cpu_ratio == pytest.approx(0)


def test_ksoftirqd_is_a_softirq(tmp_path: Path) -> None:
    after = threads(OURS, (60, 40))
    seen = watched(tmp_path, {2: (60, 0, 0, 0, 0, 0, 40), 3: IDLE}, cpu=60, after=after, ksoftirqd=40)
    assert seen.foreign_cpu_ratio == pytest.approx(0)


def test_a_thread_that_ended_hides_no_others(tmp_path: Path) -> None:
    """A generator's thread lives for one trial. How long it waited is lost: the higher estimate counts."""
    seen = watched(tmp_path, {2: (40, 0, 10, 0, 0, 0, 50), 3: IDLE}, cpu=70, after=threads(OURS, (1, 0)))
    assert seen.wait_ratio is None
    assert seen.foreign_cpu_ratio == pytest.approx(0.3)


def test_a_process_that_ended_makes_it_unknown(tmp_path: Path) -> None:
    seen = watched(tmp_path, {2: (100,), 3: IDLE}, ended=True)
    assert seen.foreign_cpu_ratio is None
    assert seen.wait_ratio is None
    assert seen.steal_ratio == 0


def test_a_process_that_started_meanwhile_is_ours(tmp_path: Path) -> None:
    seen = watched(tmp_path, {2: (100,), 3: IDLE}, cpu=40, started={71: 60}, after=threads(71, (60, 0)))
    assert seen.foreign_cpu_ratio == pytest.approx(0)


def test_a_cpu_that_went_offline_makes_it_unknown(tmp_path: Path) -> None:
    after = {"/proc/stat": host_tree.stat({0: (), 2: IDLE})}
    seen = watched(tmp_path, {}, after=after)
    assert (seen.foreign_cpu_ratio, seen.steal_ratio, seen.softirq_ratio) == (None, None, None)


def test_a_host_that_tells_nothing(tmp_path: Path) -> None:
    watch = Watch(QUIET, (), host_tree.tree(tmp_path, {}), now_ns=0)
    assert watch.end(now_ns=SECOND) == Disturbance(wait_ratio=0.0)


def test_this_machine_tells() -> None:
    """Only that the figures are there: how large they are is the machine's business."""
    seen = Watch(os.sched_getaffinity(0), (os.getpid(),)).end()
    assert seen.foreign_cpu_ratio is not None
    assert seen.steal_ratio is not None

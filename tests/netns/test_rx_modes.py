# SPDX-License-Identifier: Apache-2.0
"""What a worker does with empty queues: each rx_mode carries traffic, and an idle instance costs nothing.

netns            instance            netns
[p0]============( p0   p1 )============[p1]
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.netns.applications import iperf3_tcp, ping
from tests.netns.topology import lab
from tests.support.commands import TIME_FACTOR
from tests.support.drivers import BATCHED, PLAIN
from tests.support.instance import Instance, instance

IDLE_S = 5.0
IDLE_PERCENT = 1.0 * TIME_FACTOR


# One worker: where every worker polls, the applications need a CPU of their own.
@pytest.mark.parametrize("rx_mode", ["polling", "interrupt", "adaptive"])
@pytest.mark.parametrize("driver", PLAIN)
def test_traffic_in_every_rx_mode(driver: str, rx_mode: str) -> None:
    with (
        lab(driver, driver) as it_lab,
        instance(it_lab.config("xconnect", queues=1, rx_mode=rx_mode)) as it,
    ):
        left, right = it_lab.sides
        left.address("10.90.0.1/24")
        right.address("10.90.0.2/24")
        ping(left, "10.90.0.2")
        iperf3_tcp(left, right, "10.90.0.2", streams=2, seconds=1)
        sleeps = sum(worker.sleeps for worker in it.stats().workers)
        assert (sleeps == 0) is (rx_mode == "polling")


def cpu_ns(it: Instance) -> int:
    """The CPU time of every thread of the instance (proc(5): the first number of schedstat)."""
    spent = 0
    for process in it.processes():
        for path in Path(f"/proc/{process.pid}/task").glob("*/schedstat"):
            spent += int(path.read_text().split()[0])
    return spent


@pytest.mark.parametrize("driver", PLAIN + BATCHED)
def test_an_idle_instance_costs_next_to_nothing(driver: str) -> None:
    with lab(driver, driver) as it_lab, instance(it_lab.config("xconnect", queues=4)) as it:
        it.settled()
        percents = []
        # Once more, as somebody else's packet may have come; a slow machine starts the standby process still.
        for _ in range(round(2 * TIME_FACTOR)):
            before, began_ns = cpu_ns(it), time.monotonic_ns()
            time.sleep(IDLE_S)
            percents.append(100 * (cpu_ns(it) - before) / (time.monotonic_ns() - began_ns))
            if percents[-1] < IDLE_PERCENT:
                return
        pytest.fail(f"supervisor and workers take {percents} % of a CPU with nothing to do")

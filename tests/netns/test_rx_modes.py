# SPDX-License-Identifier: Apache-2.0
"""Workers with empty queues: each rx_mode forwards traffic, and an idle instance costs almost no CPU.

netns            instance            netns
[p0]============( p0   p1 )============[p1]
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.netns.applications import iperf3_tcp, ping
from tests.netns.topology import lab
from tests.support.drivers import PLAIN, URING, extended
from tests.support.instance import Instance, instance

IDLE_S = 2.0
QUEUES = 4
# Twice the documented rates. They are counts, so a busy machine makes them smaller, never larger.
WAKE_UPS_PER_S = 8
ROUNDS_PER_S = 16


# One worker: when every worker polls, the applications need a CPU for themselves.
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


@dataclass(frozen=True)
class Awake:
    """An instance's counts so far: wake-ups of its processes, rounds of its workers."""

    at_s: float
    wake_ups: int
    rounds: int

    @classmethod
    def so_far(cls, it: Instance) -> Awake:
        wake_ups = 0
        for process in it.processes():
            for path in Path(f"/proc/{process.pid}/task").glob("*/status"):
                # proc(5): a sleep is a voluntary context switch.
                wake_ups += int(re.findall(r"^voluntary_ctxt_switches:\s+(\d+)$", path.read_text(), re.M)[0])
        return cls(time.monotonic(), wake_ups, sum(worker.rounds for worker in it.stats().workers))


@pytest.mark.parametrize("driver", [*PLAIN, *URING, extended("turbotap-zerocopy")])
def test_an_idle_instance_costs_next_to_nothing(driver: str) -> None:
    """No worker polls: a process wakes up four times a second, and a worker then checks its queues twice."""
    with lab(driver, driver) as it_lab, instance(it_lab.config("xconnect", queues=QUEUES)) as it:
        it.settled()
        processes = len(it.processes())
        seen = []
        # Again, as an unrelated packet may have arrived.
        for _ in range(10):
            before = Awake.so_far(it)
            time.sleep(IDLE_S)
            after = Awake.so_far(it)
            took_s = after.at_s - before.at_s
            wake_ups = (after.wake_ups - before.wake_ups) / took_s / processes
            rounds = (after.rounds - before.rounds) / took_s / QUEUES
            seen.append((wake_ups, rounds))
            if wake_ups <= WAKE_UPS_PER_S and rounds <= ROUNDS_PER_S:
                return
        pytest.fail(f"(wake-ups of a process, rounds of a worker) a second, with nothing to do: {seen}")

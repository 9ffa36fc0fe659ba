# SPDX-License-Identifier: Apache-2.0
"""Kill random workers under load, many times, and measure what a user notices of it."""

from __future__ import annotations

import os
import random
import signal
import statistics
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from forwarder.stats.accounting import accounting
from tests.process.topology import Pair, lost_packets, worker_times
from tests.process.traffic import Received, Sink, Source
from tests.support.instance import Instance, instance
from tests.support.wait import TIMEOUT_S

_DAY_S = 86_400
_FLOW_SHIFT = 48  # traffic_process.py


@dataclass(frozen=True)
class Outcome:
    """That nothing is left behind and that every packet is accounted for is asserted by instance()."""

    kills: int
    back_offs: int
    to_ready_ms: tuple[float, ...]  # from each kill until the worker's replacement was READY
    longest_gap_ms: float  # between two packets of any flow
    sent_packets: int
    received_packets: int  # by the sink
    lost_packets: int  # in crashes
    dropped_packets: dict[str, int]

    def lines(self) -> list[str]:
        ms = sorted(self.to_ready_ms)
        return [
            f"kills {self.kills}, of which {self.back_offs} led to a back-off",
            f"kill to READY: median {statistics.median(ms):.1f} ms, "
            f"p90 {ms[len(ms) * 9 // 10]:.1f} ms, max {ms[-1]:.1f} ms",
            f"longest gap of a flow: {self.longest_gap_ms:.1f} ms",
            f"packets: {self.sent_packets} sent, {self.received_packets} received, "
            f"{self.lost_packets} lost in crashes, dropped {self.dropped_packets or 'none'}",
            "every packet is accounted for, nothing is left behind",
        ]


class _Killer:
    def __init__(self, it: Instance, workers: int, chance: random.Random) -> None:
        self._it = it
        self._workers = workers
        self._chance = chance
        self._killed_ns: dict[int, int] = {}  # of workers that aren't back yet
        self.to_ready_ms: list[float] = []

    def kill_one(self) -> None:
        """Of those that are READY; while none is, wait."""
        ready = self._it.wait(lambda s: any(w.state == "ready" for w in s.workers), "a worker")
        worker = self._chance.choice([w for w in ready.workers if w.state == "ready"])
        self.look()
        if worker.index in self._killed_ns:
            return  # dead already, and not yet reaped
        self._killed_ns[worker.index] = time.monotonic_ns()
        with suppress(ProcessLookupError):
            os.kill(worker.pid, signal.SIGKILL)

    def look(self) -> None:
        for worker, killed_ns in tuple(self._killed_ns.items()):
            ready_ns = worker_times(self._it, worker).ready_ns
            if ready_ns > killed_ns:
                self.to_ready_ms.append((ready_ns - killed_ns) / 1e6)
                del self._killed_ns[worker]

    @property
    def kills(self) -> int:
        return len(self.to_ready_ms) + len(self._killed_ns)

    def wait_for_all(self) -> None:
        self._it.wait(lambda s: all(w.state == "ready" for w in s.workers), "all workers are back")
        self.look()


def run(
    pair: Pair,
    kills: int,
    queues: int = 4,
    mean_pause_s: float = 0.5,
    rate: int = 2_000,
    tell: Callable[[int], None] = lambda _: None,
) -> Outcome:
    """`rate` is in packets/s. `tell` is told of every hundredth kill."""
    chance = random.Random(kills)
    with instance(pair.config(queues=queues, steering="flow")) as it:
        pair.lengthen_queues()
        with Sink(pair.right, "t1") as sink:
            with Source(pair.left, "t0", rate=rate, limit_s=_DAY_S) as source:
                it.wait(lambda s: s.counters.tx_packets > 200, "packets cross")
                killer = _Killer(it, queues, chance)
                while killer.kills < kills:
                    killer.kill_one()
                    time.sleep(chance.uniform(0, 2 * mean_pause_s))
                    if killer.kills % 100 == 0:
                        tell(killer.kills)
                killer.wait_for_all()
                start = it.stats().counters.tx_packets
                it.wait(lambda s: s.counters.tx_packets > start + 200, "packets cross", TIMEOUT_S)
            it.settled()
        final = it.stop()
        back_offs = it.log.count("dies too often")
    dropped = {name: count for name, count in accounting(final).dropped_packets.items() if count}
    return Outcome(
        kills=kills,
        back_offs=back_offs,
        to_ready_ms=tuple(killer.to_ready_ms),
        longest_gap_ms=_longest_gap_ms(sink.received),
        sent_packets=source.result.accepted_packets,
        received_packets=sink.received.packets,
        lost_packets=lost_packets(final),
        dropped_packets=dropped,
    )


def _longest_gap_ms(received: Received) -> float:
    """Without an object for each of millions of packets."""
    last_ns: dict[int, int] = {}
    longest_ns = 0
    for key, now_ns in zip(received.keys, received.received_ns, strict=True):
        flow = key >> _FLOW_SHIFT
        longest_ns = max(longest_ns, now_ns - last_ns.get(flow, now_ns))
        last_ns[flow] = now_ns
    return longest_ns / 1e6

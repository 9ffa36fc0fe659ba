# SPDX-License-Identifier: Apache-2.0
"""What an instance uses of the machine, and whether that grows while ports come and go, idle and busy."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass

import psutil

from tests.process.control_client import Client
from tests.process.topology import Pair
from tests.process.traffic import Sink, Source
from tests.support.instance import Instance, instance
from tests.support.shm import segments_of

# Of the memory that a process shares with none, in the second half. In the first the interpreter's caches
# fill, and the allocator's free memory is spread: that ends.
GROWTH_BYTES = 512 << 10
_PORTS = 8


@dataclass(frozen=True)
class Use:
    """Of the supervisor, and of all workers together. A standby is counted nowhere."""

    supervisor_fds: int
    supervisor_threads: int
    supervisor_private_bytes: int
    workers_fds: int
    workers_threads: int
    workers_private_bytes: int
    segments: int

    def counts(self) -> tuple[int, ...]:
        """What must be the same again at any quiet moment with the same ports."""
        return (
            self.supervisor_fds,
            self.supervisor_threads,
            self.workers_fds,
            self.workers_threads,
            self.segments,
        )

    def __str__(self) -> str:
        return (
            f"supervisor {self.supervisor_fds} fds, {self.supervisor_threads} threads, "
            f"{self.supervisor_private_bytes >> 10} KiB; workers {self.workers_fds} fds, "
            f"{self.workers_threads} threads, {self.workers_private_bytes >> 10} KiB; "
            f"{self.segments} segments"
        )


def used(it: Instance) -> Use:
    supervisor = psutil.Process(it.process.pid)
    workers = [psutil.Process(pid) for pid in it.worker_pids() if pid]
    return Use(*_sums([supervisor]), *_sums(workers), len(segments_of(it.name)))


def _sums(processes: Iterable[psutil.Process]) -> tuple[int, int, int]:
    fds = threads = private = 0
    for process in processes:
        with suppress(psutil.NoSuchProcess), process.oneshot():
            fds += process.num_fds()
            threads += process.num_threads()
            memory = process.memory_info()
            private += memory.rss - memory.shared
    return fds, threads, private


@dataclass(frozen=True)
class Outcome:
    before: Use  # after half of the time
    after: Use
    rounds: int

    def problems(self) -> list[str]:
        found = []
        if self.before.counts() != self.after.counts():
            found.append("the numbers of descriptors, threads or segments changed")
        if self.after.supervisor_private_bytes - self.before.supervisor_private_bytes > GROWTH_BYTES:
            found.append("the supervisor grew")
        if self.after.workers_private_bytes - self.before.workers_private_bytes > GROWTH_BYTES:
            found.append("the workers grew")
        return found

    def lines(self) -> list[str]:
        return [
            f"ports that came and went: {2 * self.rounds}",
            f"half-time: {self.before}",
            f"the end:   {self.after}",
            *(self.problems() or ["nothing grew"]),
        ]


def run(pair: Pair, seconds: float, tell: Callable[[Use], None] = lambda _: None) -> Outcome:
    """`tell` gets a reading about every minute."""
    with instance(pair.config(_more_ports(pair), queues=2)) as it:
        began = told = time.monotonic()
        rounds, before = 0, None
        while (elapsed := time.monotonic() - began) < seconds:
            _round(it, pair, busy=rounds % 2 == 1)
            rounds += 1
            if before is None and elapsed > seconds / 2:
                before = used(it)
            if time.monotonic() - told > 60:
                told = time.monotonic()
                tell(used(it))
        assert before is not None
        return Outcome(before, used(it), rounds)


def _more_ports(pair: Pair) -> str:
    """Pairs of ports without traffic: the supervisor looks after each of them every second."""
    port = '[[port]]\nname = "more{}"\nnetns = "{}"\ndriver = "tap"\npeer = "more{}"\n'
    return "".join(port.format(number, pair.left, number ^ 1) for number in range(_PORTS))


def _round(it: Instance, pair: Pair, busy: bool) -> None:
    """Two ports come, packets cross or not, and the ports go."""
    with ExitStack() as stack:
        if busy:
            stack.enter_context(Sink(pair.right, "t1"))
            stack.enter_context(Source(pair.left, "t0", rate=5_000))
        client = stack.enter_context(closing(Client(it)))
        for name in ("late0", "late1"):
            client.call("connect", name=name, driver="tap", netns=pair.left)
        time.sleep(1)
        for name in ("late0", "late1"):
            client.call("delete", name=name)
    it.settled()

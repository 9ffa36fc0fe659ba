# SPDX-License-Identifier: Apache-2.0
"""Which CPU each worker is pinned to: its home, which the configuration gives it, or a stand-in.

A cpuset may shrink and a CPU may go offline, under a worker that runs there and before one that is to start.
Such a worker gets the allowed CPU that fewest workers are pinned to. It returns to its home as soon as that
is allowed again. Every move is logged.
"""

import logging
import os
from collections import Counter
from collections.abc import Callable

from forwarder.config.cpus import allowed_cpus, format_cpu_list, usable_cpus
from forwarder.logs import about
from forwarder.supervisor.leaky_bucket import LeakyBucket

log = logging.getLogger("ttfwd")


class Placement:
    def __init__(
        self,
        homes: tuple[int, ...],
        allowed: Callable[[], frozenset[int]] = allowed_cpus,
        usable: Callable[[], frozenset[int]] = usable_cpus,
    ) -> None:
        """`allowed` is quick, but may lack CPUs of `usable`: forwarder.config.cpus."""
        self._homes = homes
        self._allowed = allowed
        self._usable = usable
        self._cpus = list(homes)  # where each worker is pinned
        self._lines = tuple(LeakyBucket(capacity=5, leak_ns=60_000_000_000) for _ in homes)

    def for_start(self, worker: int) -> int:
        """The CPU that a worker's new process is to be pinned to."""
        cpu = self._choose(worker)
        if cpu != self._cpus[worker]:
            log.warning("worker %d %s", worker, self._moved(worker, cpu), extra=about(worker=worker))
            self._cpus[worker] = cpu
        return cpu

    def look(self, worker: int, pid: int, now_ns: int) -> int:
        """See where a running worker is pinned, and pin it to where it should be. Returns its CPU."""
        before = self._cpus[worker]
        try:
            pinned = os.sched_getaffinity(pid)
        except OSError:  # it is dead
            return before
        if pinned == {before} == {self._homes[worker]}:
            return before
        cpu = self._choose(worker)
        what = self._moved(worker, cpu)
        if pinned != {cpu}:
            try:
                os.sched_setaffinity(pid, {cpu})
            except OSError as error:  # the CPU went this moment, or CAP_SYS_NICE is missing
                what = (
                    f"can't be pinned to CPU {cpu}: {error.strerror}; it may run on {format_cpu_list(pinned)}"
                )
                cpu = min(pinned)
        elif cpu == before:
            return cpu
        if self._lines[worker].admit(now_ns):
            log.warning("worker %d %s", worker, what, extra=about(worker=worker))
        self._cpus[worker] = cpu
        return cpu

    def _choose(self, worker: int) -> int:
        home = self._homes[worker]
        if home in self._allowed() or home in (usable := self._usable()) or not usable:
            return home
        others = Counter(cpu for other, cpu in enumerate(self._cpus) if other != worker)
        # Rather a CPU of the configuration than any, and rather where it is than another that is as good.
        return min(
            usable, key=lambda cpu: (cpu not in self._homes, others[cpu], cpu != self._cpus[worker], cpu)
        )

    def _moved(self, worker: int, cpu: int) -> str:
        home = self._homes[worker]
        if cpu == home:
            return f"is pinned to its CPU {home} again"
        allowed = format_cpu_list(self._usable())
        return f"may not run on its CPU {home} now (allowed: {allowed}): it is pinned to CPU {cpu}"

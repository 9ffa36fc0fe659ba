# SPDX-License-Identifier: Apache-2.0
"""The network of the tests of this folder: two namespaces without any other traffic.

source -> [ netns left | t0 ] ==== instance ==== [ t1 | netns right ] -> sink
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from forwarder.native import lib
from forwarder.shm import Segment
from forwarder.shm_names import stats_name
from forwarder.stats.snapshot import Snapshot
from tests.support.commands import ip
from tests.support.drivers import port_keys
from tests.support.instance import PATIENT, Instance, port_of

LONG_QUEUE_PACKETS = 20_000  # length of a tap's queue that is not read


@dataclass(frozen=True)
class Pair:
    """Two quiet namespaces, and the configuration of an instance between them."""

    left: str
    right: str
    driver: str = "tap"

    def config(self, extra_ports: str = "", peer: bool = True, **settings: object) -> str:
        """TOML of ports t0 (left) and t1 (right); `settings` are top-level keys."""
        top = {"queues": 2, "mode": "xconnect", **PATIENT, **settings}
        lines = [f"{key} = {json.dumps(value)}" for key, value in top.items()]
        driver = [f"{key} = {json.dumps(value)}" for key, value in port_keys(self.driver).items()]
        lines += ["[[port]]", 'name = "t0"', f'netns = "{self.left}"', *driver]
        lines += ['peer = "t1"'] if peer and top["mode"] == "xconnect" else []
        lines += ["[[port]]", 'name = "t1"', f'netns = "{self.right}"', *driver]
        return "\n".join(lines) + "\n" + extra_ports

    def lengthen_queues(self) -> None:
        """Let the kernel queue the packets that arrive while a worker is away, so an outage drops nothing."""
        for netns, device in ((self.left, "t0"), (self.right, "t1")):
            ip("link", "set", device, "txqueuelen", str(LONG_QUEUE_PACKETS), netns=netns)


def link(netns: str | None, device: str) -> dict[str, object]:
    """The kernel's counters of a device."""
    found: list[dict[str, object]] = json.loads(ip("-s", "-j", "link", "show", "dev", device, netns=netns))
    return found[0]


@dataclass(frozen=True)
class Times:
    """A worker's time in CLOCK_MONOTONIC; 0: never."""

    started_ns: int
    reaped_ns: int
    ready_ns: int


def worker_times(instance: Instance, index: int) -> Times:
    segment = Segment.attach(stats_name(instance.name), lib.TTF_MAGIC_STATS)
    try:
        found = lib.ttf_stats_status(segment.base, index)
        return Times(int(found.started_ns), int(found.reaped_ns), int(found.ready_ns))
    finally:
        segment.close()


def queue_rx(snapshot: Snapshot, port: str, queue: int) -> int:
    """Packets that a port's queue has received so far."""
    queues = port_of(snapshot, port).queues
    return sum(q.counters.rx_packets for q in queues if q.index == queue)


def lost_packets(snapshot: Snapshot) -> int:
    return sum(worker.lost_in_crash_packets for worker in snapshot.workers)


def is_ready(snapshot: Snapshot, worker: int, restarts: int) -> bool:
    found = snapshot.workers[worker]
    return found.restarts == restarts and found.state == "ready"


def standbys_of(it: Instance) -> set[int]:
    """The processes that are neither the supervisor nor workers."""
    return {process.pid for process in it.processes()} - {it.process.pid, *it.worker_pids()}

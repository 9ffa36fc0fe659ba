# SPDX-License-Identifier: Apache-2.0
"""ttfwd with each driver of this version, one queue, and defaults for everything else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import get_args

from forwarder.config.model import Driver
from tests.bench.forwarders import Ttfwd
from tests.bench.lab import Devices
from tests.bench.load import FORWARDER_CPU
from tests.bench.peers.peer import Peer, Running
from tests.bench.peers.topology import PORT_A, PORT_B, SINK, SOURCE, Topology


def peers() -> list[Peer]:
    drivers = [driver for driver in get_args(Driver) if driver != "auto"]
    without = partial(_run, driver="tap", offload=False)
    return [*map(_peer, drivers), Peer("ttfwd-tap-no-offload", "ttfwd tap, no offload", "tap", without)]


def _peer(driver: str) -> Peer:
    on_veths = driver == "packet"
    run = partial(_run, driver=driver)
    return Peer(
        f"ttfwd-{driver}", f"ttfwd {driver}", "veth" if on_veths else "tap", run, carries_segments=on_veths
    )


@contextmanager
def _run(topology: Topology, driver: str, offload: bool = True) -> Iterator[Running]:
    if driver == "packet":
        devices = Devices(PORT_A, PORT_B, SOURCE, SINK)
    else:
        devices = Devices(SOURCE, SINK, SOURCE, SINK, topology.source.netns, topology.sink.netns)
    ttfwd = Ttfwd(driver, "adaptive", str(FORWARDER_CPU), offload=offload)
    with ttfwd.run(topology.middle, devices) as forwarder:
        yield Running(forwarder.pids)

# SPDX-License-Identifier: Apache-2.0
"""DPDK's testpmd between two virtual devices, with one forwarding core.

It runs with its defaults (bursts of 32), except for the number of buffers: the default for two ports doesn't
fit into 512 MB without huge pages.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tests.bench.load import FORWARDER_CPU, GENERATOR_CPU
from tests.bench.peers.peer import Peer, Running, daemon
from tests.bench.peers.topology import PORT_A, PORT_B, SINK, SOURCE, Topology
from tests.support.commands import in_namespace

_BUFFERS = 16384
_READY = "Press enter to exit"


def peers() -> list[Peer]:
    return [
        _peer("net_tap", "tap"),
        _peer("net_af_packet", "veth"),
        _peer("net_af_xdp", "veth"),
    ]


def _peer(driver: str, ports: str) -> Peer:
    run = partial(_run, driver=driver, taps=ports == "tap")
    return Peer(
        f"testpmd-{driver}", f"testpmd {driver}", "tap" if ports == "tap" else "veth", run, polls=True
    )


@contextmanager
def _run(topology: Topology, driver: str, taps: bool) -> Iterator[Running]:
    near, far = (SOURCE, SINK) if taps else (PORT_A, PORT_B)
    command = in_namespace(
        topology.middle.netns,
        *("stdbuf", "--output=L", "dpdk-testpmd"),  # otherwise it reports that it is ready only when it ended
        # The main core only waits for a key; the other one forwards.
        *("--lcores", f"0@{GENERATOR_CPU},1@{FORWARDER_CPU}", "--main-lcore", "0"),
        *("--no-huge", "-m", "512", "--no-pci", "--no-telemetry", "--no-shconf"),
        *(f"--vdev={driver}0,iface={near}", f"--vdev={driver}1,iface={far}"),
        *("--", "--forward-mode=io", "--nb-cores=1", f"--total-num-mbufs={_BUFFERS}"),
    )
    with (
        tempfile.TemporaryDirectory(prefix="ttfwd-bench-") as folder,
        daemon(command, Path(folder, "log"), ready=lambda text: _READY in text) as process,
    ):
        if taps:
            topology.place_taps()
        yield Running((process.pid,))

# SPDX-License-Identifier: Apache-2.0
"""Compares the counters of the kernel and of an instance."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence

from forwarder.stats.snapshot import Port, Snapshot
from tests.netns.topology import Side
from tests.support.instance import Instance, port_of


def port_counts(snapshot: Snapshot, name: str) -> tuple[int, int]:
    """Packets that a port received and sent."""
    counters = port_of(snapshot, name).counters
    return counters.rx_packets, counters.tx_packets


def reached(snapshot: Snapshot, name: str) -> tuple[int, int]:
    """Packets that reached a port: received ones, and those dropped before."""
    port = port_of(snapshot, name)
    return port.counters.rx_packets, port.dropped_before_packets or 0


def offered(side: Side) -> int:
    """Packets given to the side's device to send. A full tap drops some; a veth's other end accepts all."""
    sent = side.counters("tx")
    return sent["packets"] + sent["dropped"]


def arrived_at(side: Side, final: Port) -> int:
    """Packets that the side's device received, once the instance has ended.

    A tap is gone by then. The port kept the kernel's count, read after the last packet.
    """
    if final.driver != "packet" and final.device:
        return final.device.rx_packets
    return side.counters("rx")["packets"]


def assert_devices_agree(it: Instance, *sides: Side) -> None:
    """Assert: each device sent what its port received, and received what its port sent."""
    settled = it.settled()
    for side in sides:
        rx, tx = port_counts(settled, side.device)
        assert (offered(side), side.counters("rx")["packets"]) == (rx, tx)
        assert side.counters("tx")["dropped"] == 0
    assert settled.counters.dropped_packets == settled.counters.drops["rx_only"]


def stop_worker_and_flood(it: Instance, source: Side, frames: Sequence[bytes]) -> None:
    """Offer frames while the only worker is stopped."""
    (pid,) = it.worker_pids()
    os.kill(pid, signal.SIGSTOP)
    try:
        source.send(frames)
    finally:
        os.kill(pid, signal.SIGCONT)

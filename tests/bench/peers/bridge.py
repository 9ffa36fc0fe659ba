# SPDX-License-Identifier: Apache-2.0
"""The in-kernel reference: a Linux bridge between two veths.

A bridge has no process: its work runs on the sender's CPU and counts as the sender's time. For frames of the
in-kernel generator, its ports' NAPI instances are kernel threads on the forwarder's CPU, so /proc shows its
CPU time. That includes receiving the frames from the veth, which counts for the generator where a process
forwards. Frames from sockets don't pass these threads. Their cost appears only in the sum of all
participants.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
from pyroute2 import IPRoute

from forwarder.devices import netns
from tests.bench.commands import run
from tests.bench.load import FORWARDER_CPU
from tests.bench.peers.peer import Peer, Running
from tests.bench.peers.topology import PORT_A, PORT_B, Topology
from tests.bench.programs import ProgramError
from tests.support.commands import in_namespace

_BRIDGE = "bridge"


def peers() -> list[Peer]:
    return [Peer("linux-bridge", "Linux bridge", "veth", _run, carries_segments=True, bills_senders=True)]


@contextmanager
def _run(topology: Topology) -> Iterator[Running]:
    with netns.inside(topology.middle.netns), IPRoute() as netlink:
        netlink.link("add", ifname=_BRIDGE, kind="bridge")
        master = netlink.link_lookup(ifname=_BRIDGE)[0]
        for device in (PORT_A, PORT_B):
            netlink.link("set", ifname=device, master=master)
        netlink.link("set", index=master, state="up")
    yield Running((), _napi_threads(topology))


def _napi_threads(topology: Topology) -> tuple[int, ...]:
    """The ports' NAPI threads, on the forwarder's CPU, with this process's priority. Raises ProgramError."""
    before = _named_napi()
    for device in (PORT_A, PORT_B):
        attribute = f"/sys/class/net/{device}/threaded"
        run(in_namespace(topology.middle.netns, "sh", "-c", f"echo 1 > {attribute}"))
    threads = tuple(_named_napi() - before)
    if not threads:
        raise ProgramError("Linux bridge: this kernel has no NAPI threads for veths")
    for thread in threads:
        os.sched_setaffinity(thread, {FORWARDER_CPU})
        os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, 0))
    return threads


def _named_napi() -> set[int]:
    found = psutil.process_iter(["name"])
    return {process.pid for process in found if (process.info["name"] or "").startswith("napi/port-")}

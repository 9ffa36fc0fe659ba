# SPDX-License-Identifier: Apache-2.0
"""What is compared with what: the drivers with bare loops, and a hop through a ring with none.

The bar is against the plain loop, which reads and writes nothing but frames. ttfwd's queues carry a
virtio_net_hdr (and its packet sockets auxiliary data), so a loop that does so too shows what that costs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from tests.bench.forwarders import LEFT, RIGHT, Bare, Forwarder, Ttfwd, snapshot_of
from tests.bench.load import FORWARDER_CPU, GENERATOR_CPU, Generator, Load
from tests.bench.programs import ProgramError, Programs
from tests.bench.rounds import Bar, Case, Variant

SIZES_BYTES = (60, 1500)
VETH_LEFT, VETH_RIGHT = "veth0", "veth1"
VETH_SOURCE, VETH_SINK = "source", "sink"
_PACED_PPS = 200_000
_HOP_CANDIDATES = 64
_PROBE_PACKETS = 16


def _bare(programs: Programs, name: str, program: str, *options: object) -> Variant:
    return Variant(name, Bare(programs, program, FORWARDER_CPU, options).run)


def tap_saturated(programs: Programs) -> Case:
    ttfwd = Ttfwd("tap", rx_mode="polling", cpus=str(FORWARDER_CPU))
    return Case(
        key="tap-saturated",
        title="tap to tap, 1 queue, polling",
        variants=(
            _bare(programs, "bare", "tap_loop"),
            _bare(programs, "bare, vnet header", "tap_loop", "-v"),
            Variant("ttfwd", ttfwd.run),
        ),
        loads=[Load(size, None, in_kernel=True) for size in SIZES_BYTES],
        source=LEFT,
        sink=RIGHT,
        bar=Bar("ttfwd", 1.10),
    )


def tap_paced(programs: Programs) -> Case:
    ttfwd = Ttfwd("tap", rx_mode="interrupt", cpus=str(FORWARDER_CPU))
    return Case(
        key="tap-paced",
        title="tap to tap, 1 queue, sleeping when idle",
        variants=(
            _bare(programs, "bare", "tap_loop", "-i"),
            _bare(programs, "bare, vnet header", "tap_loop", "-i", "-v"),
            Variant("ttfwd", ttfwd.run),
        ),
        loads=[Load(size, _PACED_PPS, in_kernel=bursts) for size in SIZES_BYTES for bursts in (True, False)],
        source=LEFT,
        sink=RIGHT,
        bar=Bar("ttfwd", 1.10),
    )


def hop(programs: Programs, generator: Generator) -> Case:
    """Two workers, and only flows that one of them receives and the other sends.

    The generator in the kernel puts its frames into queue 0 (tun_xdp_xmit() goes by the CPU's number), which
    is served by a worker on the CPU that the bare loop has, too. The other worker shares the generator's CPU,
    and comes before the generator there.
    """
    ttfwd = Ttfwd(
        "tap", rx_mode="interrupt", cpus=f"{FORWARDER_CPU},{GENERATOR_CPU}", queues=2, steering="flow"
    )
    one_cpu = Ttfwd("tap", rx_mode="interrupt", cpus=str(FORWARDER_CPU), queues=2, steering="flow")
    flows = _handed_over(generator)
    return Case(
        key="hop",
        title="tap to tap through one ring hop, 2 queues, sleeping when idle",
        variants=(
            _bare(programs, "bare", "tap_loop", "-i"),
            _bare(programs, "bare, 2 queues, vnet header", "tap_loop", "-i", "-v", "-q", 2),
            Variant("ttfwd", ttfwd.run, flows, _all_handed_over),
            Variant("ttfwd, both workers on one CPU", one_cpu.run, flows, _all_handed_over),
        ),
        loads=[Load(size, _PACED_PPS, in_kernel=True, nice=0) for size in SIZES_BYTES],
        source=LEFT,
        sink=RIGHT,
        bar=Bar("ttfwd", 1.35),
    )


def packet(programs: Programs) -> Case:
    ttfwd = Ttfwd("packet", "interrupt", str(FORWARDER_CPU), left=VETH_LEFT, right=VETH_RIGHT)

    def bare(name: str, *options: object) -> Variant:
        loop = Bare(programs, "packet_loop", FORWARDER_CPU, ("-i", *options), VETH_LEFT, VETH_RIGHT)
        return Variant(name, loop.run)

    return Case(
        key="packet",
        title="veth to veth, driver packet, 1 queue, sleeping when idle",
        variants=(bare("bare"), bare("bare, vnet header and auxdata", "-v"), Variant("ttfwd", ttfwd.run)),
        loads=[Load(size, rate) for size in SIZES_BYTES for rate in (_PACED_PPS, None)],
        source=VETH_SOURCE,
        sink=VETH_SINK,
        bar=Bar("ttfwd", 1.10),
    )


def _handed_over(generator: Generator) -> Callable[[Forwarder], Sequence[int]]:
    """Find by trial a flow that worker 1 owns: one that worker 0 hands to it."""

    def find(forwarder: Forwarder) -> Sequence[int]:
        for flow in range(_HOP_CANDIDATES):
            before = _pushed(forwarder)
            generator.send(flow, _PROBE_PACKETS)
            time.sleep(0.01)
            if _pushed(forwarder) - before == _PROBE_PACKETS:
                return [flow]
        raise ProgramError("no flow is handed from one worker to the other")

    return find


def _pushed(forwarder: Forwarder) -> int:
    """Packets that worker 0 handed to worker 1."""
    assert forwarder.instance is not None
    rings = snapshot_of(forwarder.instance).rings
    return sum(ring.pushed_packets for ring in rings if (ring.producer, ring.consumer) == (0, 1))


def _all_handed_over(forwarder: Forwarder, delivered_packets: int) -> None:
    """All but the probes that found the flow. Raises ProgramError."""
    pushed = _pushed(forwarder)
    if delivered_packets - pushed > _PROBE_PACKETS * _HOP_CANDIDATES:
        raise ProgramError(f"only {pushed} of {delivered_packets} packets went through the ring")

# SPDX-License-Identifier: Apache-2.0
"""The comparisons: drivers with bare loops, and forwarding through a ring with forwarding without one.

The bar compares with the plain loop, which moves frames without a virtio_net_hdr. ttfwd's packet sockets and
taps with offload carry one, so a second loop with the header shows its cost.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from tests.bench.forwarders import Bare, Forwarder, Ttfwd
from tests.bench.load import FORWARDER_CPU, GENERATOR_CPU, Aim, Generator, Load, Paced, Queued, Saturated
from tests.bench.programs import ProgramError, Programs
from tests.bench.rounds import Bar, Case, Variant

_SIZES_BYTES = (60, 1500)
_PACED = [Paced(size, 200_000) for size in _SIZES_BYTES]
_QUEUED_TAP = [Queued(size, 40_000, in_kernel=True) for size in _SIZES_BYTES]
_QUEUED_PACKET = [Queued(size, 2_000, in_kernel=False) for size in _SIZES_BYTES]  # the size of a receive ring
# A worker may get ahead of the other by all packets, so no ring is ever full.
_HOP_RING_SLOTS = 8192
_QUEUED_HOP = [Queued(size, 2 * _HOP_RING_SLOTS, in_kernel=True) for size in _SIZES_BYTES]
_PROBES = 64
_PROBE_PACKETS = 16


def all_cases(programs: Programs) -> list[Case]:
    one = str(FORWARDER_CPU)
    return [
        Case(
            "tap",
            "driver tap, 1 queue, polling",
            (
                _bare(programs, "bare", "tap_loop"),
                _bare(programs, "bare, vnet header", "tap_loop", "-v"),
                Variant("ttfwd", Ttfwd("tap", "polling", one, offload=False).run),
            ),
            [Saturated(size) for size in _SIZES_BYTES],
            Bar("ttfwd", 1.10),
        ),
        Case(
            "tap-sleeping",
            "driver tap, 1 queue, sleeping when idle",
            (
                _bare(programs, "bare", "tap_loop", "-i"),
                _bare(programs, "bare, vnet header", "tap_loop", "-i", "-v"),
                Variant("ttfwd", Ttfwd("tap", "interrupt", one, offload=False).run),
                Variant("ttfwd, offload", Ttfwd("tap", "interrupt", one).run),
            ),
            [*_PACED, *_QUEUED_TAP],
            Bar("ttfwd", 1.10),
        ),
        _uring("uring", "polling", [Saturated(size) for size in _SIZES_BYTES]),
        _uring("uring-sleeping", "interrupt", [*_PACED, *_QUEUED_TAP]),
        _hop(programs),
        Case(
            "packet",
            "driver packet on veths, 1 queue, sleeping when idle",
            (
                _bare(programs, "bare", "packet_loop", "-i"),
                _bare(programs, "bare, pages lent", "packet_loop", "-i", "-s", "lent"),
                _bare(programs, "bare, sendmmsg", "packet_loop", "-i", "-s", "mmsg"),
                _bare(programs, "bare, TPACKET_V3", "packet_loop", "-i", "-r", "v3"),
                _bare(programs, "bare, recvmmsg", "packet_loop", "-i", "-r", "mmsg"),
                Variant("ttfwd", Ttfwd("packet", "interrupt", one).run),
            ),
            [*map(Saturated, _SIZES_BYTES), *_PACED, *_QUEUED_PACKET],
            Bar("ttfwd", 1.10),
            veths=True,
        ),
    ]


def _bare(programs: Programs, name: str, program: str, *options: object) -> Variant:
    return Variant(name, Bare(programs, program, FORWARDER_CPU, options).run)


def _uring(key: str, rx_mode: str, loads: Sequence[Load]) -> Case:
    """What io_uring saves on a kernel without turbotap.ko: all of ttfwd with either driver."""
    ways = {
        driver: Variant(driver, Ttfwd(driver, rx_mode, str(FORWARDER_CPU)).run) for driver in ("tap", "uring")
    }
    how = "polling" if rx_mode == "polling" else "sleeping when idle"
    return Case(key, f"driver uring beside tap, 1 queue, {how}", (*ways.values(),), loads, Bar("uring", 0.90))


def _hop(programs: Programs) -> Case:
    """Two workers on two CPUs. Each sends the packets that the other receives.

    The load is queued in advance, as a generator would need a third CPU. While the workers are stopped, a
    generator on CPU 0 fills queue 0 with a flow of worker 1, and a generator on CPU 1 fills queue 1 with a
    flow of worker 0. So both workers have the same load.
    """
    cpus = f"{GENERATOR_CPU},{FORWARDER_CPU}"
    ttfwd = Ttfwd(
        "tap", "interrupt", cpus, queues=2, steering="flow", offload=False, ring_slots=_HOP_RING_SLOTS
    )
    two_queues = Bare(programs, "tap_loop", FORWARDER_CPU, ("-i", "-q", 2))
    return Case(
        "hop",
        "driver tap through one ring hop, 2 queues, 2 workers on 2 CPUs",
        (
            _bare(programs, "bare", "tap_loop", "-i"),
            Variant("bare, 2 queues", two_queues.run, _both_queues),
            Variant("ttfwd", ttfwd.run, _handed_over, _all_handed_over),
        ),
        _QUEUED_HOP,
        Bar("ttfwd", 1.35),
    )


def _both_queues(_forwarder: Forwarder, _generator: Generator) -> Sequence[Aim]:
    return [Aim(cpu=0), Aim(cpu=1)]


def _handed_over(forwarder: Forwarder, generator: Generator) -> Sequence[Aim]:
    """Find a flow of each worker by trial: the other worker must hand it over."""
    flow_of: dict[int, int] = {}
    for flow in range(_PROBES):
        before = _pushed(forwarder)
        generator.send(flow, _PROBE_PACKETS)
        time.sleep(0.01)
        for owner, now, then in zip((0, 1), _pushed(forwarder), before, strict=True):
            if now - then == _PROBE_PACKETS:
                flow_of[owner] = flow
        if len(flow_of) == 2:
            return [Aim(cpu=0, flow=flow_of[1]), Aim(cpu=1, flow=flow_of[0])]
    raise ProgramError("no flow is handed from one worker to the other")


def _pushed(forwarder: Forwarder) -> tuple[int, int]:
    """The counts of packets handed to worker 0 and to worker 1."""
    rings = {(ring.producer, ring.consumer): ring for ring in forwarder.snapshot().rings}
    to_0, to_1 = rings.get((1, 0)), rings.get((0, 1))
    return to_0.pushed_packets if to_0 else 0, to_1.pushed_packets if to_1 else 0


def _all_handed_over(forwarder: Forwarder, delivered_packets: int) -> None:
    """Check that all packets but the probes crossed a ring. Raises ProgramError."""
    pushed = sum(_pushed(forwarder))
    if delivered_packets - pushed > _PROBES * _PROBE_PACKETS:
        raise ProgramError(f"only {pushed} of {delivered_packets} packets went through a ring")

# SPDX-License-Identifier: Apache-2.0
"""Opens a tester: two endpoints, generators, receivers. What is made goes with close().

Generator and receiver are chosen one by one. Those in the kernel are the fast ones. The packet generator
carries what they can't (long frames, captures); the packet receiver reads the timestamps of a NIC, and finds
the frames of captures.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence, Set
from contextlib import AbstractContextManager, ExitStack
from typing import Literal

from forwarder.config.cpus import not_allowed
from forwarder.devices.netns import inside
from forwarder.devices.veth import peer_of
from forwarder.errors import UsageError
from forwarder.host.ethtool import active_features
from forwarder.results.model import Direction
from forwarder.tester.attached import Attached
from forwarder.tester.generator import Generator, Kind, Outgoing, generator
from forwarder.tester.kernel import KernelTester, Passage
from forwarder.tester.native import load
from forwarder.tester.packet_generator import packet_generator
from forwarder.tester.packet_receiver import packet_receiver
from forwarder.tester.programs import Hook
from forwarder.tester.receiver import Receiver, receiver
from forwarder.tester.traffic import Traffic
from forwarder.tester.trial import Endpoint

Sending = Kind | Literal["auto"]
Receiving = Hook | Literal["packet"]
MAX_FRAME_BYTES = 3400  # of a live frame: it has to fit a page
_TAKE_LIVE_FRAMES = (None, "tun")  # kinds of devices; None: hardware
_GRO = "rx-gro"


def open_tester(
    near: Endpoint,
    far: Endpoint,
    traffic: Traffic,
    *,
    cpus: Sequence[int],
    sending: Sending = "auto",
    receiving: Receiving = "tc",
    receiver_cpus: Collection[int] = (),
    drain_s: float = 2.0,
    quiet_s: float = 0.3,
) -> KernelTester:
    """Forward frames go from `near` to `far`, backward ones (with 2 directions) from `far` to `near`.

    `cpus`: of the generators, one for each direction, or one for both, which takes turns then. A receiver
    that is a thread works on `receiver_cpus`, by default on the others. After a trial the receivers wait for
    stragglers until every frame is there, none has come for `quiet_s`, or `drain_s` have passed.

    Raises UsageError, DeviceError, NotPermitted, TtfwdError: no such device or namespace, a device that is
    down or in somebody else's use, frames that it can't carry, no permission, no extension.
    """
    load()
    _require_cpus(cpus, traffic.directions)
    _require_possible(traffic, sending, receiving)
    ends = [Attached.find(near), Attached.find(far)]
    for device in ends:
        device.require_up()
        device.require_room(traffic)
    directions: tuple[Direction, ...] = ("forward", "backward")[: traffic.directions]
    sources = [Outgoing(direction, device) for direction, device in zip(directions, ends, strict=False)]
    woken = ends if receiving == "xdp" else ()
    devices = [way.device for way in sources]
    kind = chosen_sending(devices, traffic, len(cpus), woken) if sending == "auto" else sending
    with ExitStack() as undo:
        passages = []
        for group, cpu in zip(_groups(sources, cpus, kind == "xdp+tc"), cpus, strict=False):
            made = undo.enter_context(_generator(kind, group, traffic, cpu))
            for index, way in enumerate(group):
                sink = ends[1] if way.direction == "forward" else ends[0]
                others = frozenset(receiver_cpus) or os.sched_getaffinity(0) - set(cpus) or frozenset(cpus)
                taker = undo.enter_context(_receiver(receiving, way.direction, sink, traffic, others))
                passages.append(Passage(way.device, made, index, taker))
        return KernelTester(passages, kind, drain_s, quiet_s, undo.pop_all())


def chosen_sending(
    devices: Sequence[Attached], traffic: Traffic, cpus: int, woken: Sequence[Attached] = ()
) -> Kind:
    """How devices get their frames: straight, by the stack, or by packet sockets.

    A live frame goes into the queue of its CPU. The stack lets a device with several queues choose, by the
    frame's flow, and it reaches devices that take no live frames. It needs a generator for each namespace.
    What live frames can't carry goes by packet sockets.
    """
    if traffic.capture or traffic.max_frame_bytes > MAX_FRAME_BYTES:
        return "packet"
    if all(device.tx_queues == 1 and _takes_live_frames(device, woken) for device in devices):
        return "xdp"
    in_one_place = len({device.place for device in devices}) == 1
    return "xdp+tc" if in_one_place or cpus >= len(devices) else "packet"


def _takes_live_frames(device: Attached, woken: Sequence[Attached]) -> bool:
    """A veth does while its other end receives by NAPI: with GRO, or with an XDP program, as `woken` have.

    A tap hands a live frame to its reader as it is (tun_put_user_xdp()): one that expects a struct tun_pi
    first would take the frame's own first bytes for it.
    """
    if device.kind != "veth":
        return device.kind in _TAKE_LIVE_FRAMES and not device.has_packet_info
    other_end = peer_of(device.endpoint.netns, device.endpoint.device)
    if other_end is None:  # it's in a namespace without a name
        return False
    if Endpoint(other_end[1], other_end[0]) in (each.endpoint for each in woken):
        return True
    with inside(other_end[0]):
        return _GRO in active_features(other_end[1])


def _generator(
    kind: Kind, ways: Sequence[Outgoing], traffic: Traffic, cpu: int
) -> AbstractContextManager[Generator]:
    if kind == "packet":
        return packet_generator(ways, traffic, cpu=cpu)
    return generator(ways, traffic, cpu=cpu, to_stack=kind == "xdp+tc")


def _receiver(
    kind: Receiving, direction: Direction, sink: Attached, traffic: Traffic, cpus: Set[int]
) -> AbstractContextManager[Receiver]:
    if kind == "packet":
        return packet_receiver(direction, sink, traffic, cpus)
    return receiver(direction, sink, traffic, kind)


def _groups(ways: Sequence[Outgoing], cpus: Sequence[int], to_stack: bool) -> list[list[Outgoing]]:
    """The ways of each generator. Raises UsageError."""
    if len(ways) <= len(cpus):
        return [[way] for way in ways]
    if to_stack and len({way.device.place for way in ways}) > 1:
        raise UsageError(
            "two directions by the stack, in different network namespaces, need a CPU each: "
            "give the tester two, or measure one direction"
        )
    return [list(ways)]


def _require_cpus(cpus: Sequence[int], directions: int) -> None:
    if not cpus or len(set(cpus)) != len(cpus):
        raise UsageError("the tester needs a CPU, or one for each direction")
    allowed = os.sched_getaffinity(0)
    refused = set(cpus[:directions]) - allowed
    if refused:
        raise UsageError(f"the tester's CPUs: {not_allowed(refused, allowed)}")


def _require_possible(traffic: Traffic, sending: Sending, receiving: Receiving) -> None:
    """Raises UsageError."""
    if sending in ("xdp", "xdp+tc") and traffic.max_frame_bytes > MAX_FRAME_BYTES:
        raise UsageError(
            f"frames of {traffic.max_frame_bytes} bytes: the kernel's generator makes up to "
            f"{MAX_FRAME_BYTES}; packet sockets carry them"
        )
    if traffic.capture and (sending not in ("auto", "packet") or receiving != "packet"):
        raise UsageError("a capture is sent and received by packet sockets")

# SPDX-License-Identifier: Apache-2.0
"""The tester's packet sockets: frames of any size, captures, and what goes wrong with them."""

from __future__ import annotations

import os
import struct
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrRouting
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Packet, Raw
from scapy.utils import wrpcap

from forwarder.errors import DeviceError, UsageError
from forwarder.results.model import Way
from forwarder.tester.frames import templates
from forwarder.tester.kernel import KernelTester
from forwarder.tester.open import open_tester
from forwarder.tester.traffic import Traffic
from forwarder.tester.trial import Endpoint, Load
from tests.netns.topology import Side
from tests.support.capabilities import require_tester
from tests.support.commands import ip
from tests.support.netns import namespace
from tests.support.tap import multi_queue_tap
from tests.support.veth import Wire, wire

CPU = min(os.sched_getaffinity(0))
FRAMES = 240
JUMBO = 9014


@pytest.fixture(scope="module", autouse=True)
def _tester() -> None:
    require_tester()


@pytest.fixture(scope="module")
def ends() -> Iterator[Wire]:
    with wire(mtu=9000) as both:
        yield both


@contextmanager
def opened(ends: Wire, traffic: Traffic, **keys: Any) -> Iterator[KernelTester]:
    wanted = {"sending": "packet", "receiving": "packet", **keys}
    with closing(open_tester(*ends, traffic, cpus=(CPU,), **wanted)) as tester:
        yield tester


def burst(frames: int) -> Load:
    return Load(per_s=0, duration_s=0, burst_frames=frames)


def assert_whole(way: Way, frames: int) -> None:
    assert (way.intended, way.sent, way.received) == (frames, frames, frames)
    assert (way.duplicates, way.reordered, way.stale, way.unsent) == (0, 0, 0, 0)
    assert way.lateness.samples == way.path.samples == way.response.samples == frames


def side(end: Endpoint) -> Side:
    return Side(end.netns or "", end.device)


KINDS = {
    "long": Traffic(sizes=str(JUMBO)),
    "mix": Traffic(sizes=f"60x2,1514x1,{JUMBO}x1", flows=500, flow_order="random", seed=3),
    "ipv6 tagged": Traffic(sizes="82x1,9018x1", ip=6, vlans=(7,), flows=20_000),
}


@pytest.mark.parametrize("kind", KINDS)
def test_frames_are_those_that_were_promised(ends: Wire, kind: str) -> None:
    """Of both directions, byte by byte: as the generator in the kernel makes them, and longer."""
    traffic = KINDS[kind].model_copy(update={"directions": 2})
    with (
        opened(ends, traffic) as tester,
        side(ends[1]).capture() as forward,
        side(ends[0]).capture() as backward,
    ):
        ways = tester.trial(burst(FRAMES)).ways
        arrived = (forward.take(FRAMES), backward.take(FRAMES))
    at = traffic.header_bytes
    for way, frames in zip(ways, arrived, strict=True):
        assert_whole(way, FRAMES)
        made = templates(traffic, way.direction)
        for number, frame in enumerate(frames):
            stamp = frame[at : at + 16]
            assert struct.unpack_from("!I", stamp)[0] == number
            template = made[traffic.order[number % len(traffic.order)]]
            flow = struct.unpack_from("!H", frame, template.places.port)[0] - 49152
            flow += (
                struct.unpack_from("!I", frame, template.places.address)[0] - template.first_address
            ) << 14
            assert frame == template.build(flow, stamp)
            assert flow < traffic.flows


@pytest.mark.parametrize(("sending", "receiving"), [("packet", "tc"), ("xdp", "packet"), ("auto", "tc")])
def test_either_goes_with_those_in_the_kernel(ends: Wire, sending: str, receiving: str) -> None:
    traffic = Traffic(sizes=str(JUMBO)) if sending == "auto" else Traffic()
    with opened(ends, traffic, sending=sending, receiving=receiving) as tester:
        for _ in range(2):  # the second trial begins with empty books
            sent = tester.trial(burst(FRAMES))
            assert_whole(sent.ways[0], FRAMES)
            assert sent.books.arrived == (FRAMES,)


def test_a_rate_is_kept_or_told(ends: Wire) -> None:
    with opened(ends, Traffic()) as tester:
        sent = tester.trial(Load(per_s=5000, duration_s=0.4))
    (way,) = sent.ways
    assert way.intended == 2000 == way.sent + way.unsent
    assert way.received == way.sent > 0
    assert sum(way.lost_each_second) == 0
    assert sent.clock_step_ns is not None
    assert sent.clock_step_ns < 1000


def test_what_a_device_refuses_is_counted(ends: Wire) -> None:
    """A tap that nobody reads: each frame that its queue doesn't hold is refused, and known to be."""
    with (
        namespace() as netns,
        multi_queue_tap("fullq", netns, 1),
        opened((Endpoint("fullq", netns), ends[1]), Traffic()) as tester,
    ):
        sent = tester.trial(burst(3000))
    (way,) = sent.ways
    assert (way.sent, way.received) == (3000, 0)
    assert sent.books.refused == (3000 - 1000,)  # its queue holds 1,000: TUN_READQ_SIZE


def test_a_device_that_goes_ends_the_trial() -> None:
    with wire() as ends, opened(ends, Traffic()) as tester:
        timer = threading.Timer(0.3, ip, ("link", "delete", "near"), {"netns": ends[0].netns})
        timer.start()
        with pytest.raises(DeviceError, match=r"near in .*: (the device is gone|Network is down)"):
            tester.trial(Load(per_s=10_000, duration_s=1))
        timer.join()


def test_a_device_that_receives_may_go_too() -> None:
    with wire() as ends, opened(ends, Traffic(), sending="xdp") as tester:
        tester.trial(burst(10))
        ip("link", "set", "far", "down", netns=ends[1].netns)
        with pytest.raises(DeviceError, match=r"(near|far) in .*: it "):
            tester.trial(burst(10))


# -------------------------------------------------------------------------------------------------- captures


def _capture(folder: Path, frames: Sequence[Packet]) -> Traffic:
    path = folder / "frames.pcap"
    wrpcap(str(path), frames)
    return Traffic(pcap=str(path))


_MACS = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
STAMPED = (
    _MACS / IP(dst="192.0.2.1") / UDP(sport=1, dport=2) / Raw(b"16 bytes of it.."),
    _MACS / Dot1Q(vlan=5) / IP(dst="192.0.2.2") / TCP(options=[("MSS", 1400)]) / Raw(bytes(101)),
    _MACS / IPv6(dst="2001:db8::1") / UDP() / Raw(b"x" * 1000),
    _MACS / IPv6(dst="2001:db8::1") / IPv6ExtHdrRouting() / TCP() / Raw(b"y" * 33),
    _MACS / IP(dst="192.0.2.3") / UDP(chksum=0) / Raw(b"no checksum, please"),
    _MACS / IP(options=[b"\x94\x04\0\0"]) / UDP() / Raw(b"behind IP's options"),
)
BARE = (
    _MACS / ARP(),
    _MACS / IP() / UDP() / Raw(b"15 bytes of it."),
    _MACS / IP(flags="MF") / UDP() / Raw(bytes(64)),
    _MACS / IP(proto=47) / Raw(bytes(64)),
    _MACS / IPv6(nh=58) / Raw(bytes(64)),
    _MACS / IP(len=4000) / UDP() / Raw(bytes(64)),
    _MACS / Raw(b"neither"),
)


def test_a_capture_is_sent_in_its_order(ends: Wire, tmp_path: Path) -> None:
    """With stamps where there is room, and right checksums; otherwise as it was."""
    frames = [frame for pair in zip(STAMPED, BARE, strict=False) for frame in pair] + list(
        BARE[len(STAMPED) :]
    )
    traffic = _capture(tmp_path, frames)
    rounds = 3
    with opened(ends, traffic) as tester, side(ends[1]).capture() as capture:
        (way,) = tester.trial(burst(rounds * len(frames))).ways
        arrived = capture.take(rounds * len(frames))
    assert (way.sent, way.received, way.unstamped) == (
        rounds * len(STAMPED),
        rounds * len(STAMPED),
        rounds * len(BARE),
    )
    assert (way.lost, way.duplicates, way.reordered) == (0, 0, 0)
    number = 0
    for index, (got, made) in enumerate(zip(arrived, rounds * frames, strict=True)):
        if made in BARE:
            assert got == bytes(made), index
            continue
        stamp = _stamp(got)
        assert struct.unpack_from("!I", stamp)[0] == number, index
        assert got == bytes(_with_payload(made, stamp)), index
        number += 1


def _payload_at(frame: Packet) -> int:
    return len(frame) - len(frame[Raw])


def _stamp(frame: bytes) -> bytes:
    at = _payload_at(Ether(frame))
    return frame[at : at + 16]


def _with_payload(frame: Packet, stamp: bytes) -> Packet:
    """The frame as scapy makes it, checksum and all, if its payload begins with these bytes."""
    other = frame.copy()
    other[Raw].load = stamp + other[Raw].load[16:]
    return other


def test_captures_go_both_ways(ends: Wire, tmp_path: Path) -> None:
    traffic = _capture(tmp_path, STAMPED).model_copy(update={"directions": 2})
    with opened(ends, traffic) as tester:
        for way in tester.trial(burst(100)).ways:
            assert_whole(way, 100)


def test_a_profile_says_what_a_capture_is(tmp_path: Path) -> None:
    traffic = _capture(tmp_path, [STAMPED[0], STAMPED[2]])
    profile = traffic.profile
    assert (profile.sizes, profile.ip, profile.flows) == ("pcap", None, None)
    assert profile.pcap == traffic.pcap
    assert traffic.capture is not None
    assert traffic.capture.deviation is None
    mixed = _capture(tmp_path, [*STAMPED, *BARE]).capture
    assert mixed is not None
    assert mixed.deviation == "7 of the capture's 13 frames can't be numbered: sent, and in no rate or loss"
    assert profile.mean_frame_bytes == (len(STAMPED[0]) + len(STAMPED[2])) / 2


def test_what_cannot_be_replayed_is_named(ends: Wire, tmp_path: Path) -> None:
    path = tmp_path / "no.pcap"
    path.write_bytes(b"something else")
    with pytest.raises(ValueError, match=r"no\.pcap: neither a pcap nor a pcapng file"):
        Traffic(pcap=str(path))
    traffic = _capture(tmp_path, STAMPED)
    with pytest.raises(ValueError, match="leave out flows, sizes"):
        Traffic(pcap=traffic.pcap, sizes="60", flows=4)
    with pytest.raises(UsageError, match="a capture is sent and received by packet sockets"):
        open_tester(*ends, traffic, cpus=(CPU,), receiving="tc")
    with wire(mtu=1000) as small, pytest.raises(DeviceError, match="its MTU is 1000: frames of 1062 bytes"):
        open_tester(*small, traffic, cpus=(CPU,), receiving="packet")
    bare = _capture(tmp_path, [BARE[0]])
    with pytest.raises(UsageError, match=r"frames\.pcap: no frame has room for a stamp"):
        open_tester(*ends, bare, cpus=(CPU,), receiving="packet")

# SPDX-License-Identifier: Apache-2.0
"""GSO frames and missing checksums over pairs of drivers with and without offload.

    netns            instance            netns
    [p0]============( p0   p1 )============[p1]

If the output port supports the offload, frames cross unchanged. If not, the frames that leave are complete: a
capture without offload equals scapy's packets.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache, cached_property, partial
from itertools import product

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Packet, Raw

from forwarder.devices.netns import inside
from forwarder.stats.snapshot import Snapshot
from tests.netns import transfer
from tests.netns.frames import A, B, flow_frames
from tests.netns.topology import TIMEOUT_S, Capture, Side, lab
from tests.support.commands import ip, unique
from tests.support.drivers import OFF, WITH_AND_WITHOUT_OFFLOAD, extended
from tests.support.gso_limits import set_gso_limits
from tests.support.instance import Instance, instance, port_of
from tests.support.offloads import NEEDS_CSUM, VNET_HDR_BYTES, gso_frame, left_to_the_device, segmented
from tests.support.shm import memory_of

PAIRS = [
    *product(WITH_AND_WITHOUT_OFFLOAD, repeat=2),
    # Drivers for taps differ only in how they move frames: each is tested once with each kind of peer.
    ("uring", "uring-off"),
    ("uring-off", "uring"),
    ("uring", "packet"),
    ("packet", "uring"),
]
TURBOTAP_PAIR = ("turbotap-mmsg", "turbotap-burst-off")
ZEROCOPY = "turbotap-zerocopy"
# To a device frames stay in the kernel. The others are copied in or out.
ZEROCOPY_PAIRS = [
    (ZEROCOPY, ZEROCOPY + OFF),
    (ZEROCOPY, "packet"),
    ("packet", ZEROCOPY),
    (ZEROCOPY, "tap-off"),
]
CUT_BEFORE_US = ("tap-off", "uring-off", "turbotap-zerocopy-off")
LEFT4, RIGHT4, LEFT6, RIGHT6 = "10.91.0.1", "10.91.0.2", "fd91::1", "fd91::2"
VLAN = 5
GSO_SIZE = 1380
MIB = 1 << 20
EVERYTHING = ["csum", "tso4", "tso6", "ecn", "uso4", "uso6"]


@contextmanager
def running(*drivers: str, ipv6: bool = False) -> Iterator[tuple[Instance, Side, Side]]:
    with lab(*drivers, ipv6=ipv6) as it_lab, instance(it_lab.config("xconnect", queues=2)) as it:
        left, right = it_lab.sides
        yield it, left, right


@contextmanager
def addressed(*drivers: str) -> Iterator[tuple[Instance, Side, Side]]:
    with running(*drivers, ipv6=True) as (it, left, right):
        left.address(f"{LEFT4}/24", f"{LEFT6}/64")
        right.address(f"{RIGHT4}/24", f"{RIGHT6}/64")
        yield it, left, right


# ---------------------------------------------------------------------------------------------- frames


@dataclass(frozen=True)
class Sample:
    """A packet in the forms in which it is sent and may arrive. Made once, as scapy is slow."""

    packet: Packet

    @cached_property
    def gso_frame(self) -> tuple[bytes, bytes]:
        """A GSO frame and its offload header."""
        return gso_frame(self.packet, GSO_SIZE)

    @cached_property
    def segmented(self) -> list[bytes]:
        """The packets that the GSO frame is segmented into."""
        return segmented(self.packet, GSO_SIZE)

    @cached_property
    def unsummed(self) -> tuple[bytes, bytes, bytes]:
        """A short frame without its checksum, its offload header, and the complete frame."""
        short = self.packet.copy()
        short[TCP if TCP in short else UDP].payload = Raw(b"a payload of odd length")
        return left_to_the_device(short)


@cache
def samples() -> tuple[Sample, ...]:
    made: list[Sample] = []
    ip4, ip6 = IP(src="198.18.0.1", dst="198.18.0.2", id=65530), IPv6(src="fd00::1", dst="fd00::2")
    for number, (tags, network, transport) in enumerate(
        product(
            ([], [Dot1Q(vlan=VLAN, prio=3)]),
            (ip4, ip6, ip6 / IPv6ExtHdrDestOpt()),
            (TCP(flags="PA", seq=0xFFFF0000), TCP(flags="FPAC", options=[("Timestamp", (1, 2))]), UDP()),
        )
    ):
        packet: Packet = Ether(src=A, dst=B)
        for layer in (*tags, network, transport):
            packet = packet / layer.copy()
        packet[TCP if TCP in packet else UDP].sport = 1024 + number
        packet[TCP if TCP in packet else UDP].dport = 9
        made.append(Sample(packet / Raw(os.urandom(20_000))))
    return tuple(made)


def samples_for(drivers: tuple[str, str]) -> tuple[Sample, ...]:
    """All of them. To a guest, where each takes seconds: every layer at least once."""
    return samples()[::4] if any(driver.startswith("turbotap") for driver in drivers) else samples()


@pytest.mark.parametrize("drivers", [*PAIRS, TURBOTAP_PAIR, *map(extended, ZEROCOPY_PAIRS)], ids="-to-".join)
def test_frames_cross_as_they_are_or_arrive_as_scapy_makes_them(drivers: tuple[str, str]) -> None:
    # On a tap without offload the kernel segments GSO frames; a packet socket shows them unchanged.
    whole = not drivers[1].endswith(OFF) and drivers[0] not in CUT_BEFORE_US
    with running(*drivers) as (it, left, right), right.capture(offload_headers=True) as capture:
        # An extra frame would appear first in the next capture.
        for sample in samples_for(drivers):
            _segment_crosses(left, capture, sample, whole)
            _checksum_crosses(left, capture, sample, may_be_left=not drivers[1].endswith(OFF))
        assert capture.take(0) == []
        assert it.settled().counters.dropped_packets == 0


def _segment_crosses(left: Side, capture: Capture, sample: Sample, whole: bool) -> None:
    sent, header = sample.gso_frame
    left.send([header + sent], offload_headers=True)
    got = capture.first(1 if whole else len(sample.segmented))
    if whole:
        assert [_meaning(frame) for frame in got] == [_meaning(header + sent)]
        assert [frame[VNET_HDR_BYTES:].hex() for frame in got] == [sent.hex()]
    else:
        assert [frame[VNET_HDR_BYTES:].hex() for frame in got] == [frame.hex() for frame in sample.segmented]
        assert {frame[0] & NEEDS_CSUM for frame in got} == {0}, "complete"


def _checksum_crosses(left: Side, capture: Capture, sample: Sample, may_be_left: bool) -> None:
    undone, header, done = sample.unsummed
    left.send([header + undone], offload_headers=True)
    (frame,) = capture.first(1)
    if frame[0] & NEEDS_CSUM:
        assert may_be_left
        assert frame[VNET_HDR_BYTES:].hex() == undone.hex()
    else:
        assert frame[VNET_HDR_BYTES:].hex() == done.hex()


def _meaning(frame: bytes) -> bytes:
    """A virtio_net_hdr without hdr_len, whose value differs between kernels."""
    return frame[:2] + frame[4:VNET_HDR_BYTES]


# ------------------------------------------------------------------------------------------- transfers


@pytest.mark.parametrize(
    "drivers", [*PAIRS, *map(extended, [TURBOTAP_PAIR, *ZEROCOPY_PAIRS])], ids="-to-".join
)
def test_transfers_arrive_intact(drivers: tuple[str, str]) -> None:
    with addressed(*drivers) as (it, left, right):
        transfer.tcp(left, right, RIGHT4, 64 * MIB)
        transfer.tcp(right, left, LEFT6, 16 * MIB)
        transfer.udp(left, right, RIGHT6, rounds=20)
        transfer.udp(right, left, LEFT4, rounds=20)
        drops = it.settled().counters.drops
        assert (drops["offload"], drops["oversize"], drops["no_frame"], drops["tx_error"]) == (0, 0, 0, 0)


@pytest.mark.parametrize(("driver", "mib"), [("tap", 1024), ("uring", 256), extended(ZEROCOPY, 64)])
def test_a_large_transfer_crosses_in_large_segments(driver: str, mib: int) -> None:
    with addressed(driver, driver) as (it, left, right):
        transfer.tcp(left, right, RIGHT4, mib * MIB)
        received = it.settled().ports[0].counters
        assert received.rx_bytes / received.rx_packets > 4 * 1514


@pytest.mark.parametrize("to", ["packet", "tap", "tap-off"])
def test_gso_frames_of_more_than_64_kib_cross(to: str) -> None:
    """BIG TCP. A packet socket is the only way in: a tap's kernel side sends no such frame."""
    with addressed("packet", to) as (it, left, right):
        for side in (left, right):
            with inside(side.netns), suppress(OSError):  # a tap refuses it
                set_gso_limits(side.device, 185_000)
        for address in (RIGHT4, RIGHT6):
            transfer.tcp(left, right, address, 32 * MIB)
        settled = it.settled()
        assert settled.counters.dropped_packets == 0
        sent = left.counters("tx")["packets"]
        assert port_of(settled, "p0").counters.rx_packets > 1.5 * sent, "most of them were split"


@pytest.mark.parametrize(
    "drivers",
    [("tap", "tap-off", "packet"), extended((ZEROCOPY, ZEROCOPY, "packet", "tap"))],
    ids="-".join,
)
def test_a_bridge_of_mixed_ports(drivers: tuple[str, ...]) -> None:
    with (
        lab(*drivers, ipv6=True) as it_lab,
        instance(it_lab.config("bridge", queues=2, steering="flow")) as it,
    ):
        addresses = [f"10.91.0.{number}" for number, _ in enumerate(drivers, 1)]
        for side, address in zip(it_lab.sides, addresses, strict=True):
            side.address(f"{address}/24")
        for (source, _), (sink, address) in product(zip(it_lab.sides, addresses, strict=True), repeat=2):
            if source is not sink:
                transfer.tcp(source, sink, address, 8 * MIB)
                transfer.udp(source, sink, address, rounds=5)
        assert it.settled().counters.drops["offload"] == 0


# ---------------------------------------------------------------------------------- the MTU, and memory


@pytest.mark.parametrize("driver", ["tap", "tap-off", extended(ZEROCOPY)])
def test_a_segment_of_packets_beyond_the_mtu_is_dropped_by_name(driver: str) -> None:
    fits, too_long = (
        Ether(src=A, dst=B) / IP(src="198.18.0.1", dst="198.18.0.2") / TCP() / Raw(bytes(length))
        for length in (7300, 8000)
    )
    source = "tap" if driver in ("tap", "tap-off") else driver
    with lab(source, driver, mtus=(9000, 1500)) as it_lab, instance(it_lab.config("xconnect")) as it:
        left, right = it_lab.sides
        with right.capture() as capture:
            for packet, gso_size in ((too_long, 2000), (fits, 1460)):
                whole, header = gso_frame(packet, gso_size)
                left.send([header + whole], offload_headers=True)
            wanted = 5 if driver.endswith(OFF) else 1
            assert len(capture.take(wanted)) == wanted
        settled = it.settled(received=2)
        assert settled.ports[1].counters.drops["oversize"] == settled.counters.dropped_packets == 1


def _received(packets: int, now: Snapshot) -> bool:
    return now.counters.rx_packets == packets


def test_small_packets_keep_few_pages_resident() -> None:
    """Frames hold 64 KiB, and their unused part costs no memory."""
    with running("tap", "tap") as (it, left, _):
        for sent in range(500, 10_500, 500):  # as many as a tap's queue holds, at a time
            left.send(flow_frames(1, 500))
            it.wait(partial(_received, sent), f"{sent} frames are received")
        it.settled(received=10_000)
        batch = it.stats().instance.batch
        pools = memory_of(it.process.pid, "frame pool")
        assert len(pools) == 2
        for pool in (path.stat() for path in pools):
            assert pool.st_size >= 1024 * 65_536
            # The one or two pages of each small frame and its header, allocated ahead for four bursts.
            assert pool.st_blocks * 512 <= 4 * 2 * batch * 4096


# ----------------------------------------------------------------------------------- what is granted


def test_what_was_granted_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")  # a narrow table leaves the column out
    with running("tap", "tap-off") as (it, left, _):
        assert f"offload {' '.join(EVERYTHING)}, peer p1" in it.log
        assert "offload none, peer p0" in it.log
        assert [port["offloads"] for port in it.stats_json()["ports"]] == [EVERYTHING, []]
        assert " ".join(EVERYTHING) in it.cli("stats").stdout
        joined = it.cli(
            *("connect", unique("p"), "--netns", left.netns, "--driver", "tap", "--no-offload", "--json")
        )
        assert json.loads(joined.stdout)["offloads"] == []


def test_a_device_is_not_asked_for_what_it_does_not_do() -> None:
    """If a packet port's device can't segment a GSO frame, the kernel would drop it."""
    with lab("tap", "packet", ipv6=True) as it_lab:
        netns = str(it_lab.ports[1]["netns"])
        features = ("tx-tcp-segmentation", "off", "tx-udp-segmentation", "off")
        Side(netns, "p1").run("ethtool", "-K", "p1", *features)
        with instance(it_lab.config("xconnect")) as it:
            left, right = it_lab.sides
            left.address(f"{LEFT4}/24", f"{LEFT6}/64")
            right.address(f"{RIGHT4}/24", f"{RIGHT6}/64")
            assert it.stats_json()["ports"][1]["offloads"] == ["csum", "tso6", "ecn"]
            for address in (RIGHT4, RIGHT6):
                transfer.tcp(left, right, address, 8 * MIB)
                transfer.udp(left, right, address, rounds=5)
            assert it.settled().counters.dropped_packets == 0


@pytest.mark.parametrize("limit", ["gso_max_size 16384", "gso_max_segs 8"])
def test_a_device_that_takes_short_segments_only_is_asked_for_none(limit: str) -> None:
    """The kernel would drop a longer frame, and with it the frames that wait behind it."""
    with lab("tap", "packet") as it_lab:
        ip("link", "set", "p1", *limit.split(), netns=str(it_lab.ports[1]["netns"]))
        with instance(it_lab.config("xconnect")) as it:
            left, right = it_lab.sides
            left.address(f"{LEFT4}/24")
            right.address(f"{RIGHT4}/24")
            assert it.stats_json()["ports"][1]["offloads"] == ["csum"]
            transfer.tcp(left, right, RIGHT4, 8 * MIB)
            assert it.settled().counters.dropped_packets == 0


def test_a_tap_of_somebody_else_loses_the_offloads_that_it_had() -> None:
    """Without offload the kernel must segment GSO frames, even if the tap's previous user had offloads on."""
    with lab("tap", "tap", ipv6=True) as it_lab:
        left, right = it_lab.sides
        for side in it_lab.sides:
            ip("tuntap", "add", side.device, "mode", "tap", "multi_queue", netns=side.netns)
        for offload in (True, False):
            config = it_lab.config("xconnect", port={n: {"offload": offload} for n in (0, 1)})
            with instance(config) as it:
                if offload:
                    left.address(f"{LEFT4}/24")
                    right.address(f"{RIGHT4}/24")
                transfer.tcp(left, right, RIGHT4, 4 * MIB)
                counters = it.settled(timeout_s=TIMEOUT_S).ports[0].counters
                assert (counters.rx_bytes / counters.rx_packets > 1514) == offload

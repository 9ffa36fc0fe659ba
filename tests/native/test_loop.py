# SPDX-License-Identifier: Apache-2.0
"""One worker's loop: frames leave as they came in, in order, and each missing one has a drop reason."""

from __future__ import annotations

import errno
import os
import time

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Dot1AD, Dot1Q, Ether
from scapy.packet import Raw

from tests.native.conftest import MakeHarness
from tests.native.ext import ffi, lib
from tests.native.harness import DRIVERS, FRAME_MAX_BYTES, MMSG, MS, RW, URING, frame, mac
from tests.support.offloads import VNET_HDR_BYTES


@DRIVERS
@pytest.mark.parametrize("batch", [1, 3, 64, 256])
def test_bytes_and_order_survive(harness: MakeHarness, driver: int, header_bytes: int, batch: int) -> None:
    made = harness(batch=batch)
    left, right = made.pair(driver=driver, header_bytes=header_bytes, mtu=9000)
    lengths = [14, 15, 59, 60, 61, 64, 1513, 1514, 9013, 9014] * 4
    there = [frame(n, length) for n, length in enumerate(lengths)]
    back = [frame(1000 + n, length) for n, length in enumerate(reversed(lengths))]
    offered = [each for a, b in zip(there, back, strict=True) for each in ((left, 0, a), (right, 0, b))]
    out = made.pump(offered)
    assert out[1, 0] == there
    assert out[0, 0] == back
    for slot, frames in ((0, there), (1, back)):
        assert made.total(slot, "rx_packets") == len(frames)
        assert made.total(slot, "rx_bytes") == sum(map(len, frames))
        assert made.total(1 - slot, "tx_packets") == len(frames)
        assert made.total(1 - slot, "tx_bytes") == sum(map(len, frames))
    assert made.all_drops() == {}


def test_a_burst_costs_one_system_call_each_way(harness: MakeHarness) -> None:
    made = harness()
    left, right = made.pair()
    left.send(0, *(frame(n) for n in range(8)))
    made.step()
    assert len(right.receive(0)) == 8
    assert made.queue(0).rx_calls == 1
    assert made.queue(1).tx_calls == 1
    assert made.queue(0).rx_bursts[3] == 1, "a burst of 8 falls into the bucket 8-15"
    made.step()
    assert made.queue(0).rx_calls == 1
    assert made.queue(0).rx_empty_calls == 1
    # Port 1's empty round was in the same round as port 0's burst.
    assert made.queue(1).rx_empty_calls == 2


def test_rw_costs_a_system_call_a_packet(harness: MakeHarness) -> None:
    made = harness()
    left, right = made.pair(driver=RW)
    left.send(0, *(frame(n) for n in range(8)))
    made.step()
    assert len(right.receive(0)) == 8
    assert made.queue(0).rx_calls == 9, "the ninth finds the queue empty"
    assert made.queue(1).tx_calls == 8


def test_uring_costs_a_system_call_a_burst_and_none_while_nothing_comes(harness: MakeHarness) -> None:
    made = harness()
    left, right = made.pair(driver=URING)
    burst = [frame(n) for n in range(8)]
    for _ in range(8):  # the number of reads in a call follows the load
        left.send(0, *burst)
        made.settle()
    rx_calls, tx_calls, empty = (
        getattr(made.queue(slot), name)
        for slot, name in ((0, "rx_calls"), (1, "tx_calls"), (0, "rx_empty_calls"))
    )
    left.send(0, *burst)
    made.step()
    assert right.receive(0) == 9 * burst
    assert made.queue(0).rx_calls == rx_calls + 1
    assert made.queue(1).tx_calls == tx_calls + 1
    for _ in range(100):
        made.step()
    assert made.queue(0).rx_empty_calls <= empty + 1, "one finds the queue empty"
    assert made.queue(1).rx_empty_calls == 1, "the first poll of a queue is a call"


def test_uring_sends_what_is_behind_a_refused_frame_once(harness: MakeHarness) -> None:
    made = harness()
    left, right = made.pair(driver=URING, mtu=9000)
    right.shrink(0)
    frames = [frame(1), frame(2, 9000), frame(3), frame(4, 9000), frame(5)]
    for n in range(3):
        left.send(0, *frames)
        made.settle()
        assert right.receive(0) == frames[::2]
        assert made.drops(1) == {"oversize": 2 * (n + 1)}
    assert made.total(1, "tx_packets") == 9
    assert made.total(1, "tx_bytes") == 9 * 60


def test_a_queue_that_goes_leaves_no_request_behind(harness: MakeHarness) -> None:
    """An outstanding request or a registered file would keep the device alive."""
    made = harness()
    made.pair(driver=URING)
    made.settle()
    made.disconnect(0)
    gone = made._closing[-1]
    for end in gone.inside:
        end.close()
    with pytest.raises(ConnectionRefusedError):  # the kernel has released the other end
        gone.outside[0].send(frame(1))


@pytest.mark.parametrize(("count", "bucket"), [(1, 0), (2, 1), (3, 1), (4, 2), (7, 2), (8, 3), (10, 3)])
def test_burst_sizes_are_counted_in_their_bucket(harness: MakeHarness, count: int, bucket: int) -> None:
    made = harness()
    left, _right = made.pair()
    left.send(0, *(frame(n) for n in range(count)))
    made.step()
    assert list(made.queue(0).rx_bursts) == [int(i == bucket) for i in range(lib.TTF_BURST_BUCKETS)]


# ------------------------------------------------------------------------------------------------ drops


@DRIVERS
def test_runts_are_dropped_by_name(harness: MakeHarness, driver: int, header_bytes: int) -> None:
    made = harness()
    left, right = made.pair(driver=driver, header_bytes=header_bytes)
    for length in (0, 1, 13):
        left.send(0, frame(length, length))
    if header_bytes:
        left.outside[0].send(b"\0" * 4)  # shorter than an offload header
    left.send(0, frame(14, 14))
    made.settle()
    assert right.receive(0) == [frame(14, 14)]
    runts = 4 if header_bytes else 3
    assert made.drops(0) == {"runt": runts}
    assert made.total(0, "rx_packets") == runts + 1


@DRIVERS
def test_frames_beyond_the_mtu_are_dropped_by_name(
    harness: MakeHarness, driver: int, header_bytes: int
) -> None:
    made = harness()
    left = made.connect(0, peer=1, driver=driver, header_bytes=header_bytes, mtu=9000)
    right = made.connect(1, peer=0, driver=driver, header_bytes=header_bytes, mtu=1500)
    ether = Ether(dst="02:00:00:00:00:02", src="02:00:00:00:00:01")
    fits = [
        frame(0, 1514),
        bytes(ether / Dot1Q(vlan=7, type=0x88B5) / Raw(bytes(1500))),
        bytes(ether / Dot1AD(vlan=7) / Dot1Q(vlan=8, type=0x88B5) / Raw(bytes(1500))),
    ]
    too_long = [frame(1, 1515), bytes(ether / Dot1Q(vlan=7, type=0x88B5) / Raw(bytes(1501)))]
    left.send(0, *too_long, *fits)
    made.settle()
    assert right.receive(0) == fits
    assert made.all_drops() == {"oversize": 2}
    assert made.drops(1) == {"oversize": 2}, "the drop names the output port"


@DRIVERS
def test_frames_beyond_a_frame_are_dropped_by_name(
    harness: MakeHarness, driver: int, header_bytes: int
) -> None:
    made = harness()
    left, right = made.pair(driver=driver, header_bytes=header_bytes, mtu=100_000)
    left.send(0, frame(0, FRAME_MAX_BYTES + 1), frame(1, FRAME_MAX_BYTES - 1))
    made.settle()
    assert right.receive(0) == [frame(1, FRAME_MAX_BYTES - 1)]
    assert made.drops(0) == {"oversize": 1}


def test_no_port_without_a_peer(harness: MakeHarness) -> None:
    made = harness()
    alone = made.connect(0)
    waits_for_another = made.connect(1, peer=2)
    alone.send(0, frame(1), frame(2))
    waits_for_another.send(0, frame(3))
    made.settle()
    assert made.drops(0) == {"no_port": 2}
    assert made.drops(1) == {"no_port": 1}


@DRIVERS
def test_tx_full_counts_what_the_device_did_not_take(
    harness: MakeHarness, driver: int, header_bytes: int
) -> None:
    made = harness()
    left, right = made.pair(driver=driver, header_bytes=header_bytes)
    right.shrink(0)
    sent = [frame(n) for n in range(60)]
    for n in range(0, 60, 12):
        left.send(0, *sent[n : n + 12])
        made.settle()
    got = right.receive(0)
    assert 0 < len(got) < len(sent)
    assert got == sent[: len(got)], "the oldest frames were sent, in order"
    assert made.drops(1) == {"tx_full": len(sent) - len(got)}
    assert made.total(1, "tx_packets") == len(got)
    assert made.total(1, "tx_bytes") == sum(map(len, got))
    left.send(0, frame(99))
    made.settle()
    assert right.receive(0) == [frame(99)], "after a read, a full device takes frames again"


@DRIVERS
def test_what_the_kernel_finds_too_long_is_dropped_alone(
    harness: MakeHarness, driver: int, header_bytes: int
) -> None:
    made = harness()
    left, right = made.pair(driver=driver, header_bytes=header_bytes, mtu=9000)
    right.shrink(0)  # too small for a datagram of 9,000 bytes
    left.send(0, frame(1), frame(2, 9000), frame(3, 9000), frame(4))
    made.settle()
    assert right.receive(0) == [frame(1), frame(4)]
    assert made.drops(1) == {"oversize": 2}


def test_tx_error_concerns_one_packet_at_a_time(harness: MakeHarness) -> None:
    made = harness()
    left, right = made.pair()
    right.outside[0].close()
    left.send(0, *(frame(n) for n in range(5)))
    made.settle()
    assert made.drops(1) == {"tx_error": 5}
    assert made.total(1, "tx_packets") == 0


def test_hairpin_is_dropped_by_name(harness: MakeHarness) -> None:
    made = harness(mode="bridge")
    left, right = made.connect(0), made.connect(1)
    left.send(0, frame(1, src=mac(1), dst=mac(9)))
    left.send(0, frame(2, src=mac(2), dst=mac(1)))
    made.settle()
    assert right.receive(0) == [frame(1, src=mac(1), dst=mac(9))]
    assert made.drops(0) == {"hairpin": 1}


@pytest.mark.parametrize("mode", ["rxonly", "txonly"])
def test_rx_only_counts_and_drops(harness: MakeHarness, mode: str) -> None:
    made = harness(mode=mode)
    left, right = made.connect(0), made.connect(1)
    left.send(0, *(frame(n) for n in range(7)))
    made.settle()
    assert made.total(0, "rx_packets") == 7
    assert made.total(0, "rx_bytes") == 7 * 60
    assert made.drops(0) == {"rx_only": 7}
    assert right.receive(0) == left.receive(0) == []


# ------------------------------------------------------------------------------------------------ modes


@DRIVERS
def test_macswap_sends_back_with_addresses_swapped(
    harness: MakeHarness, driver: int, header_bytes: int
) -> None:
    made = harness(mode="macswap")
    port = made.connect(0, driver=driver, header_bytes=header_bytes)
    sent = [frame(n, 60 + n, dst=mac(n), src=mac(100 + n)) for n in range(8)]
    port.send(0, *sent)
    made.settle()
    assert port.receive(0) == [data[6:12] + data[:6] + data[12:] for data in sent]


def generate(worker: object, slot: int, **changes: object) -> int:
    config = {
        "size": 60,
        "flows": 1,
        "rate": 0,
        "src_mac": list(mac(1)),
        "dst_mac": list(mac(2)),
        "src_ip": [198, 18, 0, 1],
        "dst_ip": [198, 18, 0, 2],
    }
    return int(
        lib.ttf_worker_pktgen(worker, slot, ffi.new("struct ttf_pktgen_config *", {**config, **changes}))
    )


@pytest.mark.parametrize(("size", "flows"), [(60, 1), (61, 3), (1514, 5), (9014, 2)])
@pytest.mark.parametrize("header_bytes", [0, VNET_HDR_BYTES])
def test_txonly_frames_are_valid_udp(harness: MakeHarness, size: int, flows: int, header_bytes: int) -> None:
    made = harness(mode="txonly", batch=4)
    port = made.connect(0, header_bytes=header_bytes, mtu=9000)
    assert generate(made.live[0], 0, size=size, flows=flows) == 0
    got = []
    for _ in range(6):
        made.step()
        got += port.receive(0)
    assert len(got) == 24
    assert made.total(0, "generated_packets") == made.total(0, "tx_packets") == 24
    for n, data in enumerate(got):
        assert len(data) == size
        packet = Ether(data)
        assert (packet.dst, packet.src) == ("02:00:00:00:00:02", "02:00:00:00:00:01")
        assert (packet[IP].src, packet[IP].dst) == ("198.18.0.1", "198.18.0.2")
        assert packet[IP].len == size - 14
        assert packet[UDP].len == size - 34
        assert packet[UDP].sport == 49152 + n % flows
        right_sum = packet[IP].copy()
        del right_sum.chksum
        assert IP(bytes(right_sum)).chksum == packet[IP].chksum


@pytest.mark.parametrize("rx_mode", ["polling", "interrupt"])
def test_txonly_is_paced(harness: MakeHarness, rx_mode: str) -> None:
    """Never faster than the configured rate, even on a busy machine. The worker sleeps between bursts."""
    rate = 2000
    made = harness(mode="txonly", rx_mode=rx_mode)
    port = made.connect(0)
    assert generate(made.live[0], 0, rate=rate) == 0
    began_ns = time.monotonic_ns()
    got = 0
    # Enough packets that a burst after a pause of a busy machine doesn't hide an error.
    while made.total(0, "generated_packets") < 600:
        made.run(0, 5 * MS)
        got += len(port.receive(0))
    generated = made.total(0, "generated_packets")
    assert generated <= 1 + rate * (time.monotonic_ns() - began_ns) // 10**9
    assert generated == got == made.total(0, "tx_packets")
    stats = made.worker_stats()
    if rx_mode == "polling":
        assert stats.rounds > 2 * generated, "an unpaced worker generates a burst each round"
    else:
        assert stats.sleeps > 0
        assert stats.rounds < 6 * generated


def test_txonly_catches_up_a_burst_at_a_time(harness: MakeHarness) -> None:
    """After a pause, thousands of packets are due. A round still sends at most a burst."""
    made = harness(mode="txonly", batch=4)
    port = made.connect(0)
    assert generate(made.live[0], 0, rate=1_000_000) == 0
    made.step()
    assert len(port.receive(0)) == 1
    for _ in range(3):
        time.sleep(0.02)
        made.step()
        assert len(port.receive(0)) == 4


@pytest.mark.parametrize(
    "changes",
    [
        {"size": lib.TTF_PKTGEN_MIN_BYTES - 1},
        {"size": lib.TTF_PKTGEN_MAX_BYTES + 1},
        {"flows": 0},
        {"flows": lib.TTF_PKTGEN_MAX_FLOWS + 1},
    ],
)
def test_txonly_refuses_what_it_cannot_make(harness: MakeHarness, changes: dict[str, int]) -> None:
    made = harness(mode="txonly")
    made.connect(0)
    assert generate(made.live[0], 0, **changes) == -errno.EINVAL
    assert generate(made.live[0], 1) == -errno.EINVAL


# ------------------------------------------------------------------------------------ ports and errors


@pytest.mark.parametrize(
    "wrong",
    [
        {"port_id": lib.TTF_MAX_PORTS},
        {"queues": 0},
        {"queues": 2},
        {"peer": -2},
        {"peer": lib.TTF_MAX_PORTS},
        {"driver": 99},
        {"header_bytes": 9},
        {"header_bytes": 12},
        {"fd": -1},
    ],
)
def test_attach_refuses_values_out_of_range(harness: MakeHarness, wrong: dict[str, int]) -> None:
    made = harness()
    port = made.connect(5)
    good = {"port_id": 0, "generation": 1, "queues": 1, "mtu": 1500, "peer": -1, "driver": MMSG}
    good["fd"] = port.inside[0].fileno()
    config = ffi.new("struct ttf_port_config *", {**good, **wrong})
    assert lib.ttf_worker_attach(made.live[0], config) == -errno.EINVAL
    assert lib.ttf_worker_attach(made.live[0], ffi.new("struct ttf_port_config *", good)) == 0
    assert lib.ttf_worker_attach(made.live[0], ffi.new("struct ttf_port_config *", good)) == -errno.EEXIST
    assert lib.ttf_worker_detach(made.live[0], 0) == 0
    assert lib.ttf_worker_detach(made.live[0], 0) == -errno.ENOENT
    assert lib.ttf_worker_detach(made.live[0], lib.TTF_MAX_PORTS) == -errno.ENOENT


def test_peer_can_be_set_and_cleared(harness: MakeHarness) -> None:
    made = harness()
    left, right = made.connect(0), made.connect(1)
    left.send(0, frame(1))
    made.settle()
    assert lib.ttf_worker_set_peer(made.live[0], 0, 1) == 0
    left.send(0, frame(2))
    made.settle()
    assert lib.ttf_worker_set_peer(made.live[0], 0, -1) == 0
    left.send(0, frame(3))
    made.settle()
    assert right.receive(0) == [frame(2)]
    assert made.drops(0) == {"no_port": 2}
    assert lib.ttf_worker_set_peer(made.live[0], 0, -2) == -errno.EINVAL
    assert lib.ttf_worker_set_peer(made.live[0], 0, lib.TTF_MAX_PORTS) == -errno.EINVAL
    assert lib.ttf_worker_set_peer(made.live[0], lib.TTF_MAX_PORTS, 0) == -errno.EINVAL


def test_a_broken_queue_is_named_and_the_others_go_on(harness: MakeHarness) -> None:
    made = harness()
    left, right = made.pair()
    broken = made.connect(2, peer=0)
    saved = os.dup(broken.inside[0].fileno())
    nothing = os.eventfd(0, os.EFD_NONBLOCK)
    os.dup2(nothing, broken.inside[0].fileno())
    os.close(nothing)
    left.send(0, frame(1))
    broken.send(0, frame(2))
    made.run(0, MS)
    assert lib.ttf_worker_queue_error(made.live[0], 2) == errno.ENOTSOCK
    assert lib.ttf_worker_queue_error(made.live[0], 0) == 0
    assert right.receive(0) == [frame(1)]
    assert made.queue(2).rx_empty_calls <= 2, "a broken queue is tried once a slice"
    os.dup2(saved, broken.inside[0].fileno())
    os.close(saved)
    made.run(0, MS)
    assert lib.ttf_worker_queue_error(made.live[0], 2) == 0
    assert left.receive(0) == [frame(2)]


def test_a_pool_smaller_than_a_burst_still_forwards(harness: MakeHarness) -> None:
    made = harness(frames=2, batch=64)
    left, _right = made.pair()
    sent = [frame(n) for n in range(30)]
    out = made.pump([(left, 0, data) for data in sent])
    assert out[1, 0] == sent


@pytest.mark.parametrize(
    "changes",
    [
        {"id": 1},
        {"batch": 0},
        {"batch": 257},
        {"mode": 5},
        {"steering": 2},
        {"rx_mode": 3},
    ],
)
def test_worker_refuses_values_out_of_range(harness: MakeHarness, changes: dict[str, int]) -> None:
    made = harness()
    config, _alive = made.config(0, **changes)
    assert lib.ttf_worker_new(config) == ffi.NULL
    assert ffi.errno == errno.EINVAL

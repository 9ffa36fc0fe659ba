# SPDX-License-Identifier: Apache-2.0
"""Statistics: the user gets exactly the figures that the workers counted, or an error."""

from __future__ import annotations

import dataclasses
import errno
import os
import struct
from collections.abc import Iterator
from typing import Any

import posix_ipc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forwarder.errors import NotRunning, SegmentError, UnknownName
from forwarder.native import ffi, lib
from forwarder.shm import Segment
from forwarder.shm_names import stats_name
from forwarder.stats.accounting import accounting
from forwarder.stats.counters import Counters, drop_reasons
from forwarder.stats.rates import rates
from forwarder.stats.reader import StatsReader, running_instances
from forwarder.stats.snapshot import Snapshot, select_ports, select_workers
from tests.unit.stats_segment import FakeSegment


def later(snapshot: Snapshot, seconds: float) -> Snapshot:
    return dataclasses.replace(snapshot, taken_ns=snapshot.taken_ns + int(seconds * 1e9))


@pytest.fixture
def segment() -> FakeSegment:
    segment = FakeSegment()
    segment.port(0, b"tap0", peer=1, generation=2, mac=bytes.fromhex("0200000000010000"), netns=b"left")
    segment.port(1, b"tap1", peer=0, generation=2)
    return segment


def test_snapshot_tells_what_is_in_the_segment(segment: FakeSegment) -> None:
    segment.queue(0, 1, rx_packets=100, rx_bytes=6400, rx_calls=4, kernel_drops=3).drops[
        lib.TTF_DROP_OVERSIZE
    ] = 5
    segment.device(0, tx_dropped=9, rx_dropped=2)
    segment.worker(1, restarts=2, lost_in_crash=8, pool_frames=64, pool_free_frames=60)
    segment.ring(0, 1, pushed=2**33, popped=2**33 - 6, dropped=4, bad=1)

    with segment.reader() as reader:
        snapshot = reader.snapshot()

    it = snapshot.instance
    assert (it.name, it.mode, it.steering, it.rx_mode) == ("lab", "xconnect", "flow", "adaptive")
    assert (it.state, it.batch, it.boot_ms, it.supervisor_alive) == ("running", 64, 243.0, True)
    first, second = snapshot.ports
    assert (first.name, first.netns, first.peer, first.mac) == ("tap0", "left", "tap1", "02:00:00:00:00:01")
    assert [queue.index for queue in first.queues] == [0, 1]
    assert first.counters.rx_packets_per_call == 25
    assert first.counters.drops["oversize"] == first.counters.dropped_packets == 5
    assert first.device is not None
    assert (first.dropped_before_packets, first.dropped_after_packets) == (9 + 3, 2)
    assert second.device is None
    assert second.dropped_before_packets is None, "an unread counter is not zero"
    assert snapshot.workers[1].restarts == 2
    assert snapshot.workers[1].lost_in_crash_packets == 8
    (ring,) = snapshot.rings
    assert (ring.producer, ring.consumer, ring.depth_packets, ring.bad_packets) == (0, 1, 6, 1)


def test_below_a_packet_socket_the_device_receives_for_us(segment: FakeSegment) -> None:
    segment.port(0, b"eth0", driver=b"packet")
    segment.device(0, tx_dropped=9, rx_dropped=2)
    segment.queue(0, 0, kernel_drops=5)
    port = segment.reader().snapshot().ports[0]
    assert port.dropped_before_packets == 2 + 5
    assert port.dropped_after_packets == 9


def test_drops_by_a_worker_without_a_queue_of_the_port_are_seen(segment: FakeSegment) -> None:
    segment.port(0, b"tap0", queues=1)
    assert len(segment.reader().snapshot().ports[0].queues) == 1
    segment.queue(0, 1).drops[lib.TTF_DROP_NO_PORT] = 3
    assert segment.reader().snapshot().ports[0].counters.drops["no_port"] == 3


def test_every_drop_reason_has_its_own_name() -> None:
    assert len(set(drop_reasons())) == lib.TTF_DROP_COUNT
    assert all(drop_reasons())


@pytest.mark.parametrize(
    ("exists", "pid_namespace", "silent_ns", "alive"),
    [
        (True, 0, 0, True),
        (True, 0, 10**10, False),
        (False, 0, 0, False),
        (False, 1, 0, True),  # its number is that of another process here, or of none
        (False, 1, 10**10, False),
    ],
)
def test_a_dead_or_silent_supervisor_is_not_alive(
    segment: FakeSegment, exists: bool, pid_namespace: int, silent_ns: int, alive: bool
) -> None:
    segment.instance(pid=os.getpid() if exists else 0, pid_namespace=pid_namespace)
    with segment.reader() as reader:
        instance = dataclasses.replace(reader.snapshot().instance, supervisor_heartbeat_age_ns=silent_ns)
    assert instance.supervisor_alive is alive


def test_a_port_that_changes_during_the_reading_is_read_again(
    segment: FakeSegment, monkeypatch: pytest.MonkeyPatch
) -> None:
    segment.queue(0, 0, rx_packets=10)
    reader = segment.reader()
    read = reader._read
    reads: list[Snapshot] = []

    def delete_meanwhile() -> Snapshot:
        found = read()
        if not reads:  # the supervisor deletes the port just after it was read
            segment.queue(0, 0, rx_packets=0)
            segment.status(0).retired.rx_packets = 10
            segment.port(0, b"", state=lib.TTF_PORT_FREE, generation=4)
        reads.append(found)
        return found

    monkeypatch.setattr(reader, "_read", delete_meanwhile)
    snapshot = reader.snapshot()
    assert len(reads) == 2
    assert [port.name for port in snapshot.ports] == ["tap1"]
    assert snapshot.counters.rx_packets == 10


def test_a_slot_left_half_written_does_not_hang_the_reader(segment: FakeSegment) -> None:
    segment.port(0, b"tap0", generation=3)
    assert len(segment.reader().snapshot().ports) == 2


# ------------------------------------------------------------------------------------------------- rates


def test_rates_are_what_was_counted_over_the_interval(segment: FakeSegment) -> None:
    segment.queue(0, 0, rx_packets=1000, rx_bytes=60_000, rx_calls=1000)
    segment.worker(0, cpu_ns=10**9, busy_ns=0, running_ns=10**9)
    reader = segment.reader()
    before = reader.snapshot()
    segment.queue(0, 0, rx_packets=3000, rx_bytes=180_000, rx_calls=1050, tx_packets=500, tx_calls=10)
    segment.ring(1, 0, pushed=1000, popped=1000)
    segment.worker(0, cpu_ns=10**9 + 600_000, busy_ns=500_000_000, running_ns=3 * 10**9)
    after = later(dataclasses.replace(reader.snapshot(), taken_ns=before.taken_ns), 2)

    found = rates(before, after)

    assert found.interval_s == 2
    for rate in (found.total, found.ports[0], found.queues[0, 0]):
        assert rate is not None
        assert rate.rx_packets_per_s == 1000
        assert rate.rx_bits_per_s == 480_000
        assert rate.tx_packets_per_s == 250
        assert rate.counted.rx_packets_per_call == 40, "of the interval, not since the start"
        assert rate.counted.tx_packets_per_call == 50
    assert found.rings[1, 0] == 500
    worker = found.workers[0]
    assert worker.packets == 2000 + 1000, "received from devices and taken from rings"
    assert worker.cpu_ns_per_packet == 200
    assert worker.busy_percent == 25
    assert found.workers[1].cpu_ns_per_packet is None
    assert found.workers[1].busy_percent is None


def test_another_port_in_the_slot_has_no_rate_but_the_total_goes_on(segment: FakeSegment) -> None:
    segment.queue(0, 0, rx_packets=1000)
    reader = segment.reader()
    before = reader.snapshot()
    segment.queue(0, 0, rx_packets=2000)
    segment.status(0).retired.rx_packets = 1500
    segment.port(0, b"tap9", generation=4)
    found = rates(before, later(reader.snapshot(), 1))
    assert 0 not in found.ports
    assert (0, 0) not in found.queues
    assert 1 in found.ports
    assert found.total is not None
    assert found.total.counted.rx_packets == 2500
    assert found.workers[0].packets == 2500


def test_counters_that_go_backwards_have_no_rate(segment: FakeSegment) -> None:
    segment.queue(0, 0, rx_packets=1000)
    reader = segment.reader()
    before = reader.snapshot()
    segment.queue(0, 0, rx_packets=10)
    found = rates(before, later(reader.snapshot(), 1))
    assert found.total is None
    assert 0 not in found.ports
    assert 0 not in found.workers


def test_two_starts_of_an_instance_have_no_rate_between_them(segment: FakeSegment) -> None:
    before = segment.reader().snapshot()
    after = later(FakeSegment(epoch=8).reader().snapshot(), 1)
    assert rates(before, after).total is None
    assert rates(before, before).total is None, "no interval"


@given(st.lists(st.integers(0, 2**64 - 1), min_size=4, max_size=4))
def test_no_rate_is_negative(values: list[int]) -> None:
    segment = FakeSegment(workers=1, ports=1)
    segment.port(0, b"tap0")
    reader = segment.reader()
    segment.queue(0, 0, rx_packets=values[0], tx_packets=values[1])
    before = reader.snapshot()
    segment.queue(0, 0, rx_packets=values[2], tx_packets=values[3])
    found = rates(before, later(before if values[0] == values[2] else reader.snapshot(), 1))
    for rate in (found.total, *found.ports.values(), *found.queues.values()):
        assert rate is None or min(rate.rx_packets_per_s, rate.tx_packets_per_s) >= 0


# -------------------------------------------------------------------------------------------- accounting


def test_accounting_closes_over_live_and_deleted_ports_rings_and_crashes(segment: FakeSegment) -> None:
    segment.queue(0, 0, rx_packets=100, generated_packets=20, tx_packets=50)
    segment.queue(1, 1, rx_packets=10, copied_packets=5, tx_packets=30).drops[lib.TTF_DROP_TX_FULL] = 7
    retired = segment.status(0).retired
    retired.rx_packets, retired.tx_packets = 1000, 990
    segment.worker(1).orphans.drops[lib.TTF_DROP_NO_PORT] = 40
    segment.worker(1, lost_in_crash=8)
    segment.ring(0, 1, pushed=500, popped=490)

    it = accounting(segment.reader().snapshot())

    assert it.taken_in_packets == 1110 + 20 + 5
    assert it.sent_packets == 50 + 30 + 990
    assert it.dropped_packets["tx_full"] == 7
    assert it.dropped_packets["no_port"] == 40
    assert (it.waiting_packets, it.lost_in_crash_packets) == (10, 8)
    assert it.closes


def test_a_packet_that_vanished_is_told(segment: FakeSegment) -> None:
    segment.queue(0, 0, rx_packets=100, tx_packets=99)
    it = accounting(segment.reader().snapshot())
    assert not it.closes
    assert it.difference_packets == 1


def test_a_drop_at_a_ring_is_not_counted_twice(segment: FakeSegment) -> None:
    segment.queue(0, 0, rx_packets=3).drops[lib.TTF_DROP_RING_FULL] = 3
    segment.ring(0, 1, dropped=3)
    assert accounting(segment.reader().snapshot()).closes


def test_packets_may_be_in_flight_only_while_something_runs(segment: FakeSegment) -> None:
    assert segment.reader().snapshot().settling
    for index in range(2):
        segment.worker(index, state=lib.TTF_WORKER_EXITED)
    assert not segment.reader().snapshot().settling


# ------------------------------------------------------------------------------------- names and reading


def test_an_unknown_port_or_worker_is_told_the_known_ones(segment: FakeSegment) -> None:
    snapshot = segment.reader().snapshot()
    assert [port.name for port in select_ports(snapshot, ["tap1"])] == ["tap1"]
    assert [worker.index for worker in select_workers(snapshot, ())] == [0, 1]
    with pytest.raises(UnknownName, match=r'no port "tap9" \(ports: tap0, tap1\)'):
        select_ports(snapshot, ["tap1", "tap9"])
    with pytest.raises(UnknownName, match=r"worker 2.*0, 1"):
        select_workers(snapshot, [2])


def damaged(change: str) -> Segment:
    segment = FakeSegment()
    header = ffi.cast("struct ttf_header *", segment.base)
    size_bytes = segment.size_bytes
    if change == "starting":
        header.magic = 0
    elif change == "other":
        header.magic = lib.TTF_MAGIC_RINGS
    elif change == "version":
        header.abi_version = 99
    elif change == "short":
        size_bytes //= 2
    elif change == "workers":
        header.workers = 127
    elif change == "tiny":
        size_bytes = 16
    return Segment("/ttfwd.lab.stats", segment.base, size_bytes)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("starting", "still starting"),
        ("other", "not a segment of this kind"),
        ("version", f"ABI version 99, this ttfwd has version {lib.TTF_ABI_VERSION}"),
        ("short", "too small"),
        ("tiny", "too small"),
        ("workers", "damaged"),
    ],
)
def test_a_segment_that_cannot_be_read_says_why(change: str, told: str) -> None:
    with pytest.raises(SegmentError, match=told):
        damaged(change).check(lib.TTF_MAGIC_STATS)


@pytest.fixture
def shared() -> Iterator[Any]:
    """A name and its segment in POSIX shared memory, still empty."""
    name = f"unit-{os.getpid()}"
    memory = posix_ipc.SharedMemory(stats_name(name), posix_ipc.O_CREX, mode=0o600)
    try:
        yield name, memory.fd
    finally:
        memory.close_fd()
        memory.unlink()


def test_attaching_follows_the_segment_and_needs_no_one_else(
    shared: tuple[str, int], segment: FakeSegment
) -> None:
    name, fd = shared
    assert name in running_instances()
    with pytest.raises(SegmentError, match="still starting"):
        StatsReader.attach(name)
    os.write(fd, bytes(segment.memory))
    with StatsReader.attach(name) as reader:
        assert reader.snapshot().instance.name == "lab"
        instance_offset = 64 + ffi.offsetof("struct ttf_instance_stats", "state")
        os.pwrite(fd, struct.pack("=I", lib.TTF_INSTANCE_STOPPED), instance_offset)
        assert reader.snapshot().instance.state == "stopped"


def test_a_segment_that_can_not_be_mapped_is_refused_with_the_kernels_reason(
    shared: tuple[str, int], segment: FakeSegment, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, fd = shared
    os.write(fd, bytes(segment.memory))

    def refused(*_: object) -> None:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    monkeypatch.setattr("forwarder.shm._map", refused)
    with pytest.raises(SegmentError, match="Cannot allocate memory"):
        StatsReader.attach(name)


@pytest.mark.parametrize("name", ["no-such-instance", "", "../etc", "a\0b"])
def test_an_instance_that_is_not_there_is_not_running(name: str) -> None:
    with pytest.raises(NotRunning):
        StatsReader.attach(name)


def test_sums_keep_every_reason() -> None:
    summed = Counters(rx_packets=1, drops={"runt": 2}) + Counters(rx_packets=2, drops={"tx_full": 3})
    assert summed.rx_packets == 3
    assert summed.drops == {"runt": 2, "tx_full": 3}

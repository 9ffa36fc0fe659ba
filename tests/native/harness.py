# SPDX-License-Identifier: Apache-2.0
"""A whole instance in one process: each worker has mappings of its own, as in a process of its own. Ports are
AF_UNIX datagram socketpairs, and the test runs the workers round by round. Needs no root, no device and no
second process.

Every worker captures, without the bytes of frames. `Harness.check()` asserts the conservation equation, the
count of frames, and that what was captured is what was counted. The `harness` fixture
(conftest.py) calls it when a test ends.

A socket holds a few hundred small frames, limited by its sender's SO_SNDBUF. SocketPort.shrink() makes that a
handful.
"""

from __future__ import annotations

import os
import random
import socket
import struct
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from forwarder.native import check
from forwarder.worker.messages import MODES, RX_MODES, STEERINGS
from tests.native.capture import EVERY_EVENT, Watcher, tally
from tests.native.crossing_module import CrossingModule, CrossingPort
from tests.native.ext import ffi, lib
from tests.support.drivers import require_uring
from tests.support.offloads import VNET_HDR_BYTES, vnet_header

EPOCH = 0x5EED
EVERY_OFFLOAD = 0x6F  # TTF_OFFLOAD_ bits
MS = 1_000_000
FRAME_STRIDE = int(lib.ttf_frames_bytes(2) - lib.ttf_frames_bytes(1))
FRAME_MAX_BYTES = FRAME_STRIDE - 128


# --------------------------------------------------------------------------------------------- frames


def mac(n: int) -> bytes:
    """A locally administered unicast address."""
    return b"\x02\x00" + struct.pack("!I", n)


def frame(n: int, length: int = 60, dst: bytes = mac(0xD), src: bytes = mac(0x5)) -> bytes:
    """A frame of an unknown protocol. Every part of its content depends on n."""
    head = dst + src + b"\x88\xb5" + struct.pack("!I", n)
    return (head + random.Random(n).randbytes(length))[:length]


def udp_frame(src_port: int, dst_port: int, payload: bytes, *, reverse: bool = False) -> bytes:
    """A UDP over IPv4 frame. `reverse`: the other direction of the same flow."""
    a, b = bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])
    macs = mac(2) + mac(1)
    if reverse:
        a, b, src_port, dst_port, macs = b, a, dst_port, src_port, mac(1) + mac(2)
    udp = struct.pack("!HHHH", src_port, dst_port, 8 + len(payload), 0) + payload
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0x4000, 64, 17, 0) + a + b
    return macs + b"\x08\x00" + ip + udp


NO_OFFLOAD = vnet_header()
MMSG, RW, URING = lib.TTF_DRIVER_TURBOTAP_MMSG, lib.TTF_DRIVER_TAP, lib.TTF_DRIVER_URING

DRIVERS = pytest.mark.parametrize(
    ("driver", "header_bytes"),
    [
        pytest.param(MMSG, 0, id="mmsg"),
        pytest.param(MMSG, VNET_HDR_BYTES, id="mmsg-header"),
        pytest.param(RW, 0, id="rw"),
        pytest.param(RW, VNET_HDR_BYTES, id="rw-header"),
        pytest.param(URING, 0, id="uring"),
        pytest.param(URING, VNET_HDR_BYTES, id="uring-header"),
    ],
)


def exact(data: bytes) -> Any:
    """The bytes in a buffer of exactly their size."""
    buffer = ffi.new("uint8_t[]", len(data))
    ffi.memmove(buffer, data, len(data))
    return buffer


# ---------------------------------------------------------------------------------------------- memory


class Segment:
    """A zeroed memfd and a writable mapping of it: the supervisor's, or a worker's own pool."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._fd = os.memfd_create("test", os.MFD_CLOEXEC)
        os.ftruncate(self._fd, size)
        self.base = self._map(True)
        self._views: list[Any] = []

    def _map(self, writable: bool) -> Any:
        base = lib.ttf_map(self._fd, self.size, writable)
        assert base != ffi.NULL
        return base

    def view(self, *writable: Any) -> Any:
        """A mapping as a worker has it: read-only but for these areas."""
        base = self._map(False)
        self._views.append(base)
        for area in writable:
            check(lib.ttf_map_writable(base, area, self._fd))
        return base

    def close(self) -> None:
        for base in (self.base, *self._views):
            lib.ttf_unmap(base, self.size)
        os.close(self._fd)


def stats_segment(workers: int, ports: int = lib.TTF_MAX_PORTS, epoch: int = EPOCH) -> Segment:
    segment = Segment(lib.ttf_stats_bytes(workers, ports))
    lib.ttf_stats_prepare(segment.base, workers, ports, epoch)
    lib.ttf_stats_publish(segment.base)
    return segment


def rings_segment(
    workers: int,
    slots: int,
    start: int = 0,
    ageing_ns: int = 300 * 10**9,
    epoch: int = EPOCH,
    frames: int = 256,
) -> Segment:
    segment = Segment(lib.ttf_rings_bytes(workers, slots))
    lib.ttf_rings_init(segment.base, workers, slots, frames, start, ageing_ns, epoch)
    return segment


def frames_segment(frames: int) -> Segment:
    return Segment(lib.ttf_frames_bytes(frames))


# ------------------------------------------------------------------------------------------------ ports


def drain(end: socket.socket) -> list[bytes]:
    """All waiting datagrams."""
    got = []
    while True:
        try:
            got.append(end.recv(1 << 18, socket.MSG_DONTWAIT))
        except BlockingIOError:
            return got


@dataclass
class SocketPort:
    """A port as the test sees it: `outside[q]` is the far end of queue q's socket."""

    port_id: int
    queues: int
    peer: int
    mtu: int
    driver: int
    header_bytes: int
    offloads: int
    generation: int
    crossing: tuple[int, ...] = ()  # the numbers of its queues in the crossing
    outside: list[socket.socket] = field(default_factory=list)
    inside: list[socket.socket] = field(default_factory=list)
    plain: socket.socket | None = None  # driver packet

    def send(self, queue: int, *frames: bytes, header: bytes = NO_OFFLOAD) -> None:
        for data in frames:
            self.outside[queue].send((header if self.header_bytes else b"") + data)

    def offer(self, queue: int, data: bytes) -> bool:
        """Send unless the socket is full."""
        try:
            self.send(queue, data)
        except BlockingIOError:
            return False
        return True

    def shrink(self, queue: int) -> None:
        """Limit this queue's device to a handful of unread packets."""
        self.inside[queue].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 0)

    def receive(self, queue: int) -> list[bytes]:
        """The waiting frames without their offload headers, which must be all zero."""
        got = drain(self.outside[queue])
        if self.header_bytes:
            assert all(data[:VNET_HDR_BYTES] == NO_OFFLOAD for data in got)
        return [data[self.header_bytes :] for data in got]

    def receive_all(self) -> list[bytes]:
        return [data for queue in range(self.queues) for data in self.receive(queue)]


# ---------------------------------------------------------------------------------------------- harness


def packets_in(counters: Any) -> int:
    return int(counters.rx_packets + counters.generated_packets + counters.copied_packets)


def packets_out(counters: Any) -> int:
    return int(counters.tx_packets + sum(counters.drops))


def named_drops(counters: Iterable[Any]) -> dict[str, int]:
    """The sums of the nonzero drop counts, by name."""
    totals: dict[str, int] = {}
    for each in counters:
        for reason in range(lib.TTF_DROP_COUNT):
            if each.drops[reason]:
                name = ffi.string(lib.ttf_drop_name(reason)).decode()
                totals[name] = totals.get(name, 0) + int(each.drops[reason])
    return totals


class Harness:
    def __init__(
        self,
        workers: int = 1,
        *,
        mode: str = "xconnect",
        steering: str = "queue",
        rx_mode: str = "polling",
        batch: int = 64,
        slots: int = 64,
        frames: int = 256,
        start: int = 0,
        ageing_ns: int = 300 * 10**9,
        spin_ns: int = 50_000,
        crossing: bool = False,
    ) -> None:
        self.conserves = True  # until a test invents packets
        self.captures_all = True
        self.workers = workers
        self.slots = slots
        self.frames = frames
        self.settings = {
            "batch": batch,
            "mode": MODES[mode],
            "steering": STEERINGS[steering],
            "rx_mode": RX_MODES[rx_mode],
            "spin_ns": spin_ns,
        }
        stats, rings = stats_segment(workers), rings_segment(workers, slots, start, ageing_ns, frames=frames)
        pools = [frames_segment(frames) for _ in range(workers)]
        self.captures = [Segment(ffi.sizeof("struct ttf_capture")) for _ in range(workers)]
        self._watchers = [Watcher(capture.base) for capture in self.captures]
        self._segments = [stats, rings, *pools, *self.captures]
        self.stats, self.rings = stats.base, rings.base
        self.guard = lib.ttf_guard_new(self.stats)
        # A worker that writes where it must not crashes the test.
        fdb_area = lib.ttf_fdb_area(workers)
        self._views = [
            (
                stats.view(lib.ttf_stats_area(workers, lib.TTF_MAX_PORTS, w)),
                rings.view(fdb_area, lib.ttf_rings_area(workers, slots, w)),
                [pool.base if owner == w else pool.view() for owner, pool in enumerate(pools)],
            )
            for w in range(workers)
        ]
        self.doorbells = [os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC) for _ in range(workers)]
        self._urings: dict[int, Any] = {}
        self.module = CrossingModule(workers, batch) if crossing else None
        self.ports: dict[int, SocketPort] = {}
        self._closing: list[SocketPort] = []
        self.live: list[Any] = [None] * workers
        self.capture(EVERY_EVENT)
        for w in range(workers):
            self.new_worker(w)

    # --- workers

    def config(self, w: int, **changes: Any) -> tuple[Any, list[Any]]:
        """A worker's configuration, and the memory that it points to."""
        stats, rings, frames = self._views[w]
        pools = ffi.new("void *[]", frames)
        doorbells = ffi.new("int[]", self.doorbells)
        values = {
            "id": w,
            "stats": stats,
            "rings": rings,
            "frames": pools,
            "capture": self.captures[w].base,
            "doorbells": doorbells,
        }
        return ffi.new("struct ttf_worker_config *", {**self.settings, **values, **changes}), [
            pools,
            doorbells,
        ]

    def new_worker(self, w: int) -> None:
        """Start worker w (or restart it after kill()) and attach every port."""
        config, _alive = self.config(w)
        worker = lib.ttf_worker_new(config)
        assert worker != ffi.NULL
        self.live[w] = worker
        if self.module is not None:
            member = self.module.members[w]
            check(lib.ttf_worker_join(worker, member.fd, member.first, member.slots))
        for port in self.ports.values():
            self._attach(w, port)

    def kill(self, w: int) -> None:
        """Drop worker w's private state, as SIGKILL would. Shared memory stays as it is."""
        lib.ttf_worker_free(self.live[w])
        self.live[w] = None
        self.captures_all = False  # its last records weren't published

    def revive(self, w: int) -> int:
        """Recover as the supervisor does after a death. Returns the lost packets."""
        lost = self.recover(w)
        lib.ttf_run_state_reset(self.rings, w)
        self.new_worker(w)
        return lost

    def recover(self, w: int) -> int:
        if self.module is not None:
            check(lib.ttf_recover_crossing(self.guard, self.rings, w, self.module.members[w].fd))
            self.module.rejoin(w)
        return int(lib.ttf_recover_worker(self.guard, self.rings, w))

    def away(self, *workers: int) -> None:
        """Tell everybody which workers are away: these, and no others."""
        for w in range(self.workers):
            lib.ttf_run_state_live(self.rings, w, w not in workers)

    def drop_waiting(self, w: int) -> int:
        return int(lib.ttf_recover_waiting(self.guard, self.rings, w, lib.TTF_DROP_NO_WORKER))

    def damage(self, w: int) -> str | None:
        """The first counter of worker w that was found damaged since the last look."""
        found = ffi.new("struct ttf_damage *")
        return ffi.string(found.what).decode() if lib.ttf_guard_check(self.guard, w, found) else None

    # --- capture

    def capture(self, events: int, keep_bytes: int = 0) -> None:
        """What every worker captures from its next round on."""
        self.captures_all &= events == EVERY_EVENT
        for w in range(self.workers):
            lib.ttf_run_state_capture(self.rings, w, events << lib.TTF_CAPTURE_SHIFT | keep_bytes)

    def watch(self, w: int = 0, **settings: int) -> Watcher:
        return Watcher(self.captures[w].base, **settings)

    # --- ports

    def connect(
        self,
        port_id: int,
        *,
        queues: int | None = None,
        peer: int = -1,
        mtu: int = 1500,
        driver: int = lib.TTF_DRIVER_TURBOTAP_MMSG,
        header_bytes: int = 0,
        offloads: int | None = None,
        generation: int = 1,
        sockets: Sequence[socket.socket] = (),
        plain: socket.socket | None = None,
        crosses: bool = False,
    ) -> SocketPort:
        """A port with an offload header supports all offloads by default. `sockets`: ready-made queues.

        `crosses`: its queues are in the crossing.
        """
        if driver == lib.TTF_DRIVER_URING:
            require_uring()
        if offloads is None:
            offloads = EVERY_OFFLOAD if header_bytes else 0
        port = SocketPort(
            port_id,
            queues or self.workers,
            peer,
            mtu,
            driver,
            header_bytes,
            offloads,
            generation,
            plain=plain,
        )
        if crosses:
            assert self.module is not None
            port.driver = lib.TTF_DRIVER_TURBOTAP_ZEROCOPY
            port.crossing = tuple(1 + port_id * self.workers + queue for queue in range(port.queues))
            self.module.ports.update({number: CrossingPort() for number in port.crossing})
        port.inside += sockets
        for _ in range(port.queues - len(sockets)):
            inside, outside = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
            for end in (inside, outside):
                end.setblocking(False)
            port.inside.append(inside)
            port.outside.append(outside)
        self.ports[port_id] = port
        for w in range(self.workers):
            if self.live[w]:
                self._attach(w, port)
        return port

    def pair(self, **options: Any) -> tuple[SocketPort, SocketPort]:
        """Attach ports 0 and 1, peers of each other."""
        return self.connect(0, peer=1, **options), self.connect(1, peer=0, **options)

    def _attach(self, w: int, port: SocketPort) -> None:
        config = ffi.new(
            "struct ttf_port_config *",
            {
                "port_id": port.port_id,
                "generation": port.generation,
                "queues": port.queues,
                "mtu": port.mtu,
                "peer": port.peer,
                "fd": port.inside[w].fileno() if w < port.queues else -1,
                "plain_fd": port.plain.fileno() if port.plain else -1,
                "driver": port.driver,
                "header_bytes": port.header_bytes,
                "offloads": port.offloads,
                "crossing_port": port.crossing[w % port.queues] if port.crossing else 0,
            },
        )
        if port.driver == lib.TTF_DRIVER_URING:
            config.urings = self._urings_of(w)
        check(lib.ttf_worker_attach(self.live[w], config))

    def _urings_of(self, w: int) -> Any:
        """A worker's process makes them at its start."""
        if w not in self._urings:
            self._urings[w] = lib.ttf_urings_new()
            assert self._urings[w]
        return self._urings[w]

    def update(self, port_id: int, *, mtu: int, offloads: int) -> None:
        """Tell the workers what the port's device is like now."""
        self.ports[port_id].mtu, self.ports[port_id].offloads = mtu, offloads
        for worker in self.live:
            check(lib.ttf_worker_update_port(worker, port_id, mtu, offloads))

    def disconnect(self, port_id: int) -> SocketPort:
        """Detach a port from all workers and retire its counters. Its sockets stay open."""
        self.captures_all = False  # the port's counters are set to zero
        port = self.ports.pop(port_id)
        for w in range(self.workers):
            check(lib.ttf_worker_detach(self.live[w], port_id))
        lib.ttf_retire_port(self.guard, port_id)
        for other in self.ports.values():
            if other.peer == port_id:
                other.peer = -1
        self._closing.append(port)
        return port

    # --- running

    def run(self, w: int, slice_ns: int = 0) -> int:
        worker = self.live[w]
        return int(lib.ttf_worker_run(worker, slice_ns, lib.ttf_worker_attention(worker)))

    def step(self, *workers: int) -> None:
        """Run one round of each of these workers (default: all)."""
        for w in workers or range(self.workers):
            worker = self.live[w]
            # A pending message ends a slice after its first round. Pretend that there is one.
            lib.ttf_worker_run(worker, 10**9, lib.ttf_worker_attention(worker) ^ 1)

    def settle(self) -> None:
        """Run every worker until no packet moves."""
        before = -1
        while (now := self._moved()) != before:
            before = now
            self.step()

    def _moved(self) -> int:
        rings = sum(pushed + popped for pushed, popped in self._rings())
        return rings + sum(packets_in(c) + packets_out(c) for c in self._all_counters())

    def pump(
        self, offered: Sequence[tuple[SocketPort, int, bytes]], burst: int = 8
    ) -> dict[tuple[int, int], list[bytes]]:
        """
        Send (port, queue, frame) in bursts that fit everywhere, until no packet moves.
        Returns the frames that left by each (port_id, queue), in order.
        """
        out: dict[tuple[int, int], list[bytes]] = defaultdict(list)
        for n, (port, queue, data) in enumerate(offered, 1):
            port.send(queue, data)
            if n % burst == 0 or n == len(offered):
                self.settle()
                self._collect(out)
        return out

    def _collect(self, out: dict[tuple[int, int], list[bytes]]) -> None:
        for port in self.ports.values():
            for queue in range(port.queues):
                out[port.port_id, queue] += port.receive(queue)

    # --- counters

    def queue(self, port_id: int, w: int = 0) -> Any:
        return lib.ttf_stats_queue(self.stats, port_id, w)

    def worker_stats(self, w: int = 0) -> Any:
        return lib.ttf_stats_worker(self.stats, w)

    def status(self, w: int = 0) -> Any:
        return lib.ttf_stats_status(self.stats, w)

    def ring(self, source: int, to: int) -> Any:
        return ffi.new("struct ttf_ring *", lib.ttf_rings_ring(self.rings, source, to))

    def ring_out(self, source: int, to: int) -> Any:
        return lib.ttf_stats_ring_out(self.stats, source, to)

    def ring_in(self, source: int, to: int) -> Any:
        return lib.ttf_stats_ring_in(self.stats, source, to)

    def words(self, w: int) -> Any:
        return lib.ttf_rings_worker_words(self.rings, w)

    def total(self, port_id: int, counter: str) -> int:
        return sum(int(getattr(self.queue(port_id, w), counter)) for w in range(self.workers))

    def drops(self, port_id: int) -> dict[str, int]:
        return named_drops(self.queue(port_id, w) for w in range(self.workers))

    def orphan_drops(self) -> dict[str, int]:
        return named_drops(self.worker_stats(w).orphans for w in range(self.workers))

    def all_drops(self) -> dict[str, int]:
        return named_drops(self._all_counters())

    def lost(self) -> int:
        return sum(int(self.status(w).lost_in_crash) for w in range(self.workers))

    def waiting(self) -> int:
        return sum(pushed - popped for pushed, popped in self._rings())

    def _rings(self) -> list[tuple[int, int]]:
        """Pushed and popped of every ring."""
        pairs = [(a, b) for a in range(self.workers) for b in range(self.workers) if a != b]
        return [(int(self.ring_out(a, b).pushed), int(self.ring_in(a, b).popped)) for a, b in pairs]

    def _all_counters(self) -> list[Any]:
        queues = [self.queue(p, w) for p in range(lib.TTF_MAX_PORTS) for w in range(self.workers)]
        orphans = [self.worker_stats(w).orphans for w in range(self.workers)]
        return queues + orphans + [self.status(w).retired for w in range(self.workers)]

    # --- invariants while no packet moves

    def check_conservation(self) -> None:
        counters = self._all_counters()
        came_in = sum(map(packets_in, counters))
        went_out = sum(map(packets_out, counters))
        assert came_in == went_out + self.waiting() + self.lost(), (
            f"in {came_in}, out {went_out}, waiting {self.waiting()}, lost {self.lost()}, {self.all_drops()}"
        )
        assert self.waiting() == lib.ttf_rings_waiting(self.rings)

    def check_frames(self) -> None:
        """Each frame of each live worker is in its pool or in one slot of one of its rings."""
        for w, worker in enumerate(self.live):
            if not worker:
                continue
            self.step(w)
            held = [frame for to in range(self.workers) if to != w for frame in self.held(w, to)]
            assert len(set(held)) == len(held)
            free = int(self.worker_stats(w).pool_free_frames)
            assert free + len(held) == self.frames, f"worker {w}: {free} free, {len(held)} in rings"

    def held(self, source: int, to: int) -> list[int]:
        """The frames of `source` in its ring to `to`, including completed ones."""
        ring = self.ring(source, to)
        return [
            lib.ring_reclaimed_frame(ring, i)
            for i in range((ring.producer.tail - ring.producer.reclaimed) % 2**32)
        ]

    def check_captured(self) -> None:
        """What was received, sent and dropped was captured, once, port by port and reason by reason."""
        captured = tally(record for watcher in self._watchers for record in watcher.read())
        if any(watcher.reader.lost for watcher in self._watchers):
            return  # the ring came round
        counted = Counter(
            {("rx", p, ""): self.total(p, "rx_packets") for p in self.ports}
            | {("tx", p, ""): self.total(p, "tx_packets") for p in self.ports}
            | {("drop", p, reason): n for p in self.ports for reason, n in self.drops(p).items()}
            | {("drop", lib.TTF_NO_PORT, reason): n for reason, n in self.orphan_drops().items()}
        )
        events = Counter({key: n for key, n in captured.items() if key[0] in ("rx", "tx", "drop")})
        assert events == counted

    def check(self) -> None:
        self.check_frames()
        if self.conserves and self.captures_all:
            self.check_captured()
        if self.conserves:
            self.check_conservation()
            assert [self.damage(w) for w in range(self.workers)] == [None] * self.workers

    def close(self) -> None:
        for worker in self.live:
            lib.ttf_worker_free(worker or ffi.NULL)
        if self.module is not None:
            self.module.close()
        for port in [*self.ports.values(), *self._closing]:
            for end in [*port.inside, *port.outside, *([port.plain] if port.plain else [])]:
                end.close()
        for urings in self._urings.values():
            lib.ttf_urings_free(urings)
        for fd in self.doorbells:
            os.close(fd)
        lib.ttf_guard_free(self.guard)
        for segment in self._segments:
            segment.close()

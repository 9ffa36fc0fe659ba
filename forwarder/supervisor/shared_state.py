# SPDX-License-Identifier: Apache-2.0
"""The shared memory of one instance, as its supervisor makes, writes, checks and removes it.

The supervisor writes shared memory here and nowhere else; no C struct leaves this module. Guarantees that
closing removes everything that was made, that a port's block is never seen half written (its generation is
odd meanwhile), and that no number that a worker wrote is used before it was checked (native/guard.h).
"""

import logging
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from forwarder import rundir, shm, shm_names
from forwarder.config.model import Config
from forwarder.devices.device import Device, Link
from forwarder.devices.port import Port
from forwarder.errors import SegmentNameTaken
from forwarder.logs import about
from forwarder.native import ffi, lib, string
from forwarder.supervisor.worker_state import WorkerState
from forwarder.worker.messages import Delivery, Discarded, Memory, Pools

if TYPE_CHECKING:
    from forwarder.native import ttf_instance_stats, ttf_port_stats, ttf_worker_status

log = logging.getLogger("ttfwd")

_U32_MASK = 2**32 - 1
_NO_PEER = -1
_LINKS: Mapping[Link, int] = {
    "up": lib.TTF_LINK_UP,
    "no_carrier": lib.TTF_LINK_NO_CARRIER,
    "down": lib.TTF_LINK_DOWN,
    "gone": lib.TTF_LINK_GONE,
}
_TOUCHED_BYTES = 2048  # of a frame, by a packet of MTU 1500


def pool_frames(workers: int, ring_slots: int, batch: int) -> int:
    """How many frames a worker's pool has: with every ring of its row full, four bursts are still free."""
    return max(1024, (workers - 1) * ring_slots + 4 * batch)


@dataclass(frozen=True)
class RingFault:
    """A handoff ring whose indices contradict each other."""

    producer: int
    consumer: int
    indices: str


@dataclass(frozen=True)
class _Descriptors:
    """Of one segment."""

    writable: int
    readonly: int


class SharedState:
    """The segments of the statistics, of the rings and of every worker's frames. Use as a context manager."""

    def __init__(self, config: Config, cpus: tuple[int, ...]) -> None:
        """Raises SegmentError when there is no room for them, and leaves nothing."""
        workers = config.queues
        self._workers = workers
        self._undo = ExitStack()
        self._memory = Memory(config.ring_slots, pool_frames(workers, config.ring_slots, config.batch))
        frames = self._memory.frames
        rings_bytes = lib.ttf_rings_bytes(workers, config.ring_slots)
        in_use = (workers - 1) * config.ring_slots + 2 * config.batch  # a burst, and its GSO frames' packets
        gso_bytes = lib.ttf_frames_bytes(in_use) if any(port.offload for port in config.ports) else 0
        shm.warn_of_little_memory(rings_bytes + workers * gso_bytes)
        epoch = time.time_ns()
        with ExitStack() as undo:
            self._undo = undo
            # /dev/shm may be full: this comes before everything else.
            self._stats = self._create_stats(config.name, lib.ttf_stats_bytes(workers, lib.TTF_MAX_PORTS))
            undo.callback(shm.unlink, self._stats.name)
            undo.callback(self._stats.close)
            self._stats_fds = self._with_readonly(self._stats.name, self._stats.fd)
            self._rings, self._rings_fds = self._make_rings(rings_bytes)
            self._pool_fds = tuple(self._make_pool(worker, frames, config.batch) for worker in range(workers))
            self._capture_fds = tuple(self._make_capture(worker) for worker in range(workers))
            ageing_ns = config.bridge.ageing_s * 10**9
            lib.ttf_rings_init(self._rings.base, workers, config.ring_slots, frames, 0, ageing_ns, epoch)
            # Others look for the stats segment: describe the instance before it is published.
            lib.ttf_stats_prepare(self._stats.base, workers, lib.TTF_MAX_PORTS, epoch)
            self._describe(config, cpus)
            lib.ttf_stats_publish(self._stats.base)
            self._guard = lib.ttf_guard_new(self._stats.base)
            if self._guard == ffi.NULL:
                raise MemoryError
            undo.callback(lib.ttf_guard_free, self._guard)
            self._undo = undo.pop_all()

    def __enter__(self) -> "SharedState":
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    def _make_rings(self, size_bytes: int) -> tuple[shm.Segment, _Descriptors]:
        what = "the memory of the handoff rings"
        fd = shm.sealed_memory(what, size_bytes)
        segment = self._undo.enter_context(closing(shm.map_memory(what, fd, size_bytes)))
        shm.allocate(what, fd, 0, size_bytes)
        return segment, self._with_readonly(what, fd)

    def _make_pool(self, worker: int, frames: int, batch: int) -> _Descriptors:
        what = f"the frame pool of worker {worker}"
        fd = shm.sealed_memory(what, lib.ttf_frames_bytes(frames))
        self._undo.callback(os.close, fd)
        # The frames that small packets use, unless handoff rings fill up.
        for frame in range(min(frames, 4 * batch)):
            shm.allocate(what, fd, lib.ttf_frames_bytes(frame), _TOUCHED_BYTES)
        return self._with_readonly(what, fd)

    def _make_capture(self, worker: int) -> _Descriptors:
        what = _capture_of(worker)
        fd = shm.sealed_memory(what, ffi.sizeof("struct ttf_capture"))
        self._undo.callback(os.close, fd)
        return self._with_readonly(what, fd)

    def _with_readonly(self, what: str, fd: int) -> _Descriptors:
        readonly = shm.read_only(what, fd)
        self._undo.callback(os.close, readonly)
        return _Descriptors(fd, readonly)

    def memory_for(self, worker: int) -> tuple[Delivery[Memory], Delivery[Pools]]:
        """The messages that give a worker the shared memory. The fds beside them stay this object's."""
        stats, rings, capture = self._stats_fds, self._rings_fds, self._capture_fds[worker]
        segments = (stats.readonly, stats.writable, rings.readonly, rings.writable, capture.writable)
        pools = (
            pool.writable if owner == worker else pool.readonly for owner, pool in enumerate(self._pool_fds)
        )
        return Delivery(self._memory, segments), Delivery(Pools(), tuple(pools))

    def _create_stats(self, instance: str, size_bytes: int) -> shm.Segment:
        """Readers find it by its name, or by one like it if that is taken."""
        name = shm_names.stats_name(instance)
        try:
            return shm.Segment.create(name, size_bytes)
        except SegmentNameTaken:
            spare = shm_names.spare_stats_name(instance)
            log.warning("%s/%s isn't ours, and stays: %s instead", shm_names.SHM_DIRECTORY, name[1:], spare)
            return shm.Segment.create(spare, size_bytes)

    def _describe(self, config: Config, cpus: tuple[int, ...]) -> None:
        instance = self._instance
        instance.name = config.name.encode()
        instance.mode = config.mode.encode()
        instance.steering = config.steering.encode()
        instance.rx_mode = config.rx_mode.encode()
        instance.pid = os.getpid()
        instance.pid_namespace = rundir.pid_namespace()
        instance.state = lib.TTF_INSTANCE_BOOT
        instance.started_ns = instance.heartbeat_ns = time.monotonic_ns()
        instance.started_unix_ns = time.time_ns()
        instance.batch = config.batch
        instance.ring_slots = config.ring_slots
        for index, cpu in enumerate(cpus):
            self._status(index).cpu = cpu

    @property
    def _instance(self) -> "ttf_instance_stats":
        return lib.ttf_stats_instance(self._stats.base)

    def _status(self, worker: int) -> "ttf_worker_status":
        return lib.ttf_stats_status(self._stats.base, worker)

    def _port(self, port_id: int) -> "ttf_port_stats":
        return lib.ttf_stats_port(self._stats.base, port_id)

    # ---------------------------------------------------------------------------------- instance

    def instance_runs(self, boot_ns: int, now_ns: int) -> None:
        instance = self._instance
        instance.boot_ns = boot_ns
        instance.heartbeat_ns = now_ns
        instance.state = lib.TTF_INSTANCE_RUNNING

    def heartbeat(self, now_ns: int) -> None:
        self._instance.heartbeat_ns = now_ns

    def instance_drains(self) -> None:
        self._instance.state = lib.TTF_INSTANCE_DRAINING

    def instance_stopped(self) -> None:
        self._instance.state = lib.TTF_INSTANCE_STOPPED

    # ------------------------------------------------------------------------------------- ports

    def describe_port(self, port_id: int, port: Port) -> int:
        """Fill the block of a free port id. Returns the port's generation."""
        block = self._port(port_id)
        _begin(block)
        block.queues, block.peer = port.queues, _NO_PEER
        block.name = port.name.encode()
        _describe_device(block, port.device)
        block.driver, block.io = port.driver.name.encode(), port.driver.io_name.encode()
        block.note = port.note.encode()[: ffi.sizeof(block.note) - 1]
        device_bytes = ffi.sizeof("struct ttf_device_counters")
        ffi.memmove(ffi.addressof(block.device), bytes(device_bytes), device_bytes)
        block.state = lib.TTF_PORT_UP
        return _end(block)

    def device_changed(self, port_id: int, device: Device) -> None:
        """A port's device isn't any more what it was when the port was described."""
        block = self._port(port_id)
        block.revision = (block.revision + 1 | 1) & _U32_MASK
        _describe_device(block, device)
        block.revision = (block.revision + 1) & _U32_MASK & ~1

    def pair(self, port_id: int, peer: int | None) -> None:
        self._port(port_id).peer = _NO_PEER if peer is None else peer

    def port_goes(self, port_id: int) -> None:
        self._port(port_id).state = lib.TTF_PORT_DELETING

    def clear_port(self, port_id: int) -> None:
        """After every worker has detached it: keep its totals, free its id, forget its addresses."""
        block = self._port(port_id)
        _begin(block)
        lib.ttf_retire_port(self._guard, port_id)
        lib.ttf_fdb_flush(lib.ttf_rings_fdb(self._rings.base), port_id)
        block.state = lib.TTF_PORT_FREE
        block.peer = _NO_PEER
        _end(block)

    def write_device(self, port_id: int, counters: Mapping[str, int], now_ns: int) -> None:
        """The device's own counters, by the kernel's names (IFLA_STATS64)."""
        device = self._port(port_id).device
        for direction in ("rx", "tx"):
            for what in ("packets", "bytes", "dropped", "errors"):
                setattr(device, f"{direction}_{what}", counters[f"{direction}_{what}"])
        device.updated_ns = now_ns

    def count_discarded(self, port_id: int, worker: int, discarded: Discarded) -> None:
        """On behalf of a dead worker, the only writer while it lived: taken from its queue, and dropped."""
        packets, size_bytes, kernel_drops = discarded.packets, discarded.size_bytes, discarded.kernel_drops
        lib.ttf_recover_discarded(self._guard, port_id, worker, packets, size_bytes, kernel_drops)

    # ----------------------------------------------------------------------------------- workers

    def worker_entered(self, worker: int, state: WorkerState) -> None:
        """At no moment has a worker the state of a process, as READY is, and no process."""
        status = self._status(worker)
        status.state = int(state)
        if not state.has_process:
            status.pid = 0

    def worker_placed(self, worker: int, cpu: int) -> None:
        """The CPU that it is pinned to."""
        self._status(worker).cpu = cpu

    def worker_started(self, worker: int, pid: int, now_ns: int) -> None:
        status = self._status(worker)
        status.pid = pid
        status.started_ns = now_ns
        lib.ttf_stats_worker(self._stats.base, worker).heartbeat_ns = now_ns

    def worker_ready(self, worker: int, now_ns: int) -> None:
        self._status(worker).ready_ns = now_ns

    def worker_reaped(self, worker: int, now_ns: int) -> None:
        self._status(worker).reaped_ns = now_ns

    def worker_restarted(self, worker: int) -> None:
        stats = self._status(worker)
        stats.restarts = (stats.restarts + 1) & _U32_MASK

    def worker_heartbeat_ns(self, worker: int) -> int:
        """CLOCK_MONOTONIC when its loop last turned, as the worker says."""
        return lib.ttf_stats_worker(self._stats.base, worker).heartbeat_ns

    def worker_lives(self, worker: int, lives: bool) -> None:
        """Whether other workers give it flows."""
        lib.ttf_run_state_live(self._rings.base, worker, lives)

    def recover(self, worker: int, member_fd: int | None = None) -> int:
        """After a worker's death. Returns the packets that it lost.

        `member_fd`: of its member of the crossing. What it sent last is counted as sent then, not as lost.
        """
        if member_fd is not None:
            error = lib.ttf_recover_crossing(self._guard, self._rings.base, worker, member_fd)
            if error:
                text = "worker %d: what it sent last is not known: %s"
                log.error(text, worker, os.strerror(-error), extra=about(worker=worker))
        return lib.ttf_recover_worker(self._guard, self._rings.base, worker)

    def damage(self, worker: int) -> str | None:
        """What was wrong with a worker's counters since the last look, if anything. They were restored."""
        found = ffi.new("struct ttf_damage *")
        if not lib.ttf_guard_check(self._guard, worker, found):
            return None
        return f"{string(found.what)} was {found.found:#x}"

    # ----------------------------------------------------------------------------------- capture

    def allocate_captures(self) -> None:
        """Memory for what the workers record. Raises SegmentError, and leaves none allocated."""
        try:
            for worker, fds in enumerate(self._capture_fds):
                shm.allocate(_capture_of(worker), fds.writable, 0, ffi.sizeof("struct ttf_capture"))
        except BaseException:
            self.release_captures()
            raise

    def release_captures(self) -> None:
        """Nobody reads the records any more. A worker that hasn't heard of it may still write some."""
        for worker, fds in enumerate(self._capture_fds):
            try:
                shm.release(fds.writable, lib.TTF_AREA_ALIGN, lib.TTF_CAPTURE_BYTES)
            except OSError as error:
                log.warning("%s stays allocated: %s", _capture_of(worker), error.strerror)

    def capture_fds(self) -> tuple[int, ...]:
        """Of each worker's records, for reading. They stay this object's."""
        return tuple(fds.readonly for fds in self._capture_fds)

    def order_capture(self, events: int, keep_bytes: int) -> None:
        """Have all workers record these events from their next round on, and so many bytes of each frame."""
        for worker in range(self._workers):
            lib.ttf_run_state_capture(self._rings.base, worker, events << lib.TTF_CAPTURE_SHIFT | keep_bytes)

    # ------------------------------------------------------------------------------------- rings

    def reset_run_state(self, worker: int) -> None:
        """Before a worker starts: it is ordered neither to drain nor to stop."""
        lib.ttf_run_state_reset(self._rings.base, worker)

    def order_drain(self, worker: int) -> None:
        lib.ttf_run_state_set(self._rings.base, worker, lib.TTF_RUN_STATE_DRAIN)

    def order_stop(self, worker: int) -> None:
        lib.ttf_run_state_set(self._rings.base, worker, lib.TTF_RUN_STATE_STOP)

    def drains(self, worker: int) -> bool:
        """Whether a worker has stopped receiving, as ordered."""
        return self.run_state_seen(worker) == lib.TTF_RUN_STATE_DRAIN

    def run_state_seen(self, worker: int) -> int:
        """The last run state that a worker says it has finished with: any number, as a worker may lie."""
        return lib.ttf_run_state_seen(self._rings.base, worker)

    def attention(self, worker: int) -> None:
        """Have a worker's loop look for messages. One that sleeps needs its doorbell as well."""
        lib.ttf_run_state_attention(self._rings.base, worker)

    def waiting_packets(self) -> int:
        """Packets that are under way from one worker to another."""
        return lib.ttf_rings_waiting(self._rings.base)

    def ring_faults(self) -> Iterator[RingFault]:
        """The rings whose indices contradict each other, while their ends are at work or not."""
        seen = ffi.new("struct ttf_ring_indices *")
        number = -1
        while (number := lib.ttf_rings_contradiction(self._rings.base, number + 1, seen)) >= 0:
            indices = (
                f"reclaimed {seen.reclaimed}, head {seen.head}, claimed {seen.claimed}, tail {seen.tail}"
            )
            yield RingFault(number // self._workers, number % self._workers, indices)

    def empty_ring(self, fault: RingFault) -> None:
        """Both ends are dead. Recover them afterwards: that counts what is lost."""
        lib.ttf_recover_ring(self._guard, self._rings.base, fault.producer, fault.consumer)

    def drop_waiting(self, worker: int) -> int:
        """Drop by name what waits in the rings to a dead worker. Returns how many packets."""
        return lib.ttf_recover_waiting(self._guard, self._rings.base, worker, lib.TTF_DROP_NO_WORKER)

    def count_abandoned(self) -> None:
        """After the last worker's end: drop by name the packets that rings still hold.

        A drain leaves none there; without time for one, a worker may end before another's last burst.
        """
        for worker in range(self._workers):
            lib.ttf_recover_waiting(self._guard, self._rings.base, worker, lib.TTF_DROP_SHUTDOWN)


def _capture_of(worker: int) -> str:
    return f"the capture memory of worker {worker}"


def _describe_device(block: "ttf_port_stats", device: Device) -> None:
    block.mtu, block.ifindex, block.offloads = device.mtu, device.ifindex, device.offloads
    block.device_name = device.name.encode()
    block.netns = (device.place.name or "").encode("utf-8", "replace")[: ffi.sizeof(block.netns) - 1]
    block.link = _LINKS[device.link]
    ffi.memmove(block.mac, bytes.fromhex(device.mac.replace(":", "")), 6)


def _begin(block: "ttf_port_stats") -> None:
    """Readers of a port's block wait while its generation is odd."""
    block.generation = (block.generation + 1 | 1) & _U32_MASK


def _end(block: "ttf_port_stats") -> int:
    block.generation = (block.generation + 1) & _U32_MASK & ~1
    return block.generation

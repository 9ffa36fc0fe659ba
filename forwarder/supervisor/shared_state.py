# SPDX-License-Identifier: Apache-2.0
"""The shared memory of one instance, as its supervisor makes, writes and removes it.

The supervisor writes shared memory here and nowhere else; no C struct leaves this module. Guarantees that
closing removes every name that was made, that a port's block is never seen half written (its generation is
odd meanwhile), and that no number found in a counter makes an addition fail: counters wrap as C's do.
"""

import os
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from forwarder import shm
from forwarder.config.model import Config
from forwarder.devices.port import Discarded, Port
from forwarder.native import ffi, lib
from forwarder.supervisor.worker_state import WorkerState

if TYPE_CHECKING:
    from forwarder.native import ttf_instance_stats, ttf_port_stats, ttf_worker_stats

_PAGE_BYTES = 4096
_U32_MASK = 2**32 - 1
_U64_MASK = 2**64 - 1
_NO_PEER = -1


def pool_frames(workers: int, ring_slots: int, batch: int) -> int:
    """How many frames a worker's pool has: with every ring of its row full, four bursts are still free."""
    return max(1024, (workers - 1) * ring_slots + 4 * batch)


class SharedState:
    """The segments of the statistics, of the rings and of every worker's frames. Use as a context manager."""

    def __init__(self, config: Config, cpus: tuple[int, ...]) -> None:
        workers = config.queues
        self._workers = workers
        self._undo = ExitStack()
        frames = pool_frames(workers, config.ring_slots, config.batch)
        stats_bytes = lib.ttf_stats_bytes(workers, lib.TTF_MAX_PORTS)
        rings_bytes = lib.ttf_rings_bytes(workers, config.ring_slots)
        # Frames are 64 KiB of address space each; small packets touch one page of them.
        base_bytes = stats_bytes + rings_bytes
        in_use = (workers - 1) * config.ring_slots + 2 * config.batch  # a burst, and its GSO frames' packets
        gso_bytes = lib.ttf_frames_bytes(in_use) if any(port.offload for port in config.ports) else 0
        shm.require_room(base_bytes + workers * frames * _PAGE_BYTES, base_bytes + workers * gso_bytes)
        epoch = time.time_ns()
        with ExitStack() as undo:
            self._undo = undo
            self._stats = self._create(shm.stats_name(config.name), stats_bytes)
            self._rings = self._create(shm.rings_name(config.name), rings_bytes)
            for worker in range(workers):
                segment = self._create(shm.frames_name(config.name, worker), lib.ttf_frames_bytes(frames))
                lib.ttf_frames_init(segment.base, frames, epoch)
            lib.ttf_rings_init(
                self._rings.base, workers, config.ring_slots, 0, config.bridge.ageing_s * 10**9, epoch
            )
            # Others look for the stats segment: describe the instance before it is published.
            lib.ttf_stats_prepare(self._stats.base, workers, lib.TTF_MAX_PORTS, epoch)
            self._describe(config, cpus)
            lib.ttf_stats_publish(self._stats.base)
            self._undo = undo.pop_all()

    def __enter__(self) -> "SharedState":
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    def _create(self, name: str, size_bytes: int) -> shm.Segment:
        segment = shm.Segment.create(name, size_bytes)
        self._undo.callback(shm.unlink, name)
        self._undo.callback(segment.close)
        return segment

    def _describe(self, config: Config, cpus: tuple[int, ...]) -> None:
        instance = self._instance
        instance.name = config.name.encode()
        instance.mode = config.mode.encode()
        instance.steering = config.steering.encode()
        instance.rx_mode = config.rx_mode.encode()
        instance.pid = os.getpid()
        instance.state = lib.TTF_INSTANCE_BOOT
        instance.started_ns = instance.heartbeat_ns = time.monotonic_ns()
        instance.started_unix_ns = time.time_ns()
        instance.batch = config.batch
        instance.ring_slots = config.ring_slots
        for index, cpu in enumerate(cpus):
            self._worker(index).cpu = cpu

    @property
    def _instance(self) -> "ttf_instance_stats":
        return lib.ttf_stats_instance(self._stats.base)

    def _worker(self, index: int) -> "ttf_worker_stats":
        return lib.ttf_stats_worker(self._stats.base, index)

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
        block.queues, block.mtu, block.ifindex, block.peer = port.queues, port.mtu, port.ifindex, _NO_PEER
        ffi.memmove(block.mac, bytes.fromhex(port.mac.replace(":", "")), 6)
        block.name = port.name.encode()
        block.offloads = port.offloads
        block.driver, block.io = port.driver.name.encode(), port.driver.io_name.encode()
        block.netns = (port.config.netns or "").encode()
        block.note = port.note.encode()[: ffi.sizeof(block.note) - 1]
        device_bytes = ffi.sizeof("struct ttf_device_counters")
        ffi.memmove(ffi.addressof(block.device), bytes(device_bytes), device_bytes)
        block.state = lib.TTF_PORT_UP
        return _end(block)

    def pair(self, port_id: int, peer: int | None) -> None:
        self._port(port_id).peer = _NO_PEER if peer is None else peer

    def port_goes(self, port_id: int) -> None:
        self._port(port_id).state = lib.TTF_PORT_DELETING

    def clear_port(self, port_id: int) -> None:
        """After every worker has detached it: keep its totals, free its id, forget its addresses."""
        block = self._port(port_id)
        _begin(block)
        lib.ttf_retire_port(self._stats.base, port_id)
        lib.ttf_fdb_flush(lib.ttf_rings_fdb(self._rings.base), port_id)
        block.state = lib.TTF_PORT_FREE
        block.peer = _NO_PEER
        _end(block)

    def write_device(self, port_id: int, counters: dict[str, int], now_ns: int) -> None:
        """The device's own counters, by the kernel's names (IFLA_STATS64)."""
        device = self._port(port_id).device
        for direction in ("rx", "tx"):
            for what in ("packets", "bytes", "dropped", "errors"):
                setattr(device, f"{direction}_{what}", counters[f"{direction}_{what}"])
        device.updated_ns = now_ns

    def count_discarded(self, port_id: int, worker: int, discarded: Discarded) -> None:
        """On behalf of a dead worker, the only writer while it lived: taken from its queue, and dropped."""
        counters = lib.ttf_stats_queue(self._stats.base, port_id, worker)
        counters.rx_packets = _sum(counters.rx_packets, discarded.packets)
        counters.rx_bytes = _sum(counters.rx_bytes, discarded.size_bytes)
        counters.kernel_drops = _sum(counters.kernel_drops, discarded.kernel_drops)
        dropped = counters.drops
        dropped[lib.TTF_DROP_SHUTDOWN] = _sum(dropped[lib.TTF_DROP_SHUTDOWN], discarded.packets)

    # ----------------------------------------------------------------------------------- workers

    def worker_entered(self, worker: int, state: WorkerState) -> None:
        self._worker(worker).state = int(state)

    def worker_started(self, worker: int, pid: int, now_ns: int) -> None:
        stats = self._worker(worker)
        stats.pid = pid
        stats.started_ns = stats.heartbeat_ns = now_ns

    def worker_ready(self, worker: int, now_ns: int) -> None:
        self._worker(worker).ready_ns = now_ns

    def worker_reaped(self, worker: int, now_ns: int) -> None:
        stats = self._worker(worker)
        stats.pid = 0
        stats.reaped_ns = now_ns

    def worker_restarted(self, worker: int) -> None:
        stats = self._worker(worker)
        stats.restarts = (stats.restarts + 1) & _U32_MASK

    def worker_heartbeat_ns(self, worker: int) -> int:
        """CLOCK_MONOTONIC when its loop last turned."""
        return self._worker(worker).heartbeat_ns

    def recover(self, worker: int) -> int:
        """After a worker's death. Returns the packets that it lost."""
        return lib.ttf_recover_worker(self._stats.base, self._rings.base, worker)

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
        return lib.ttf_run_state_seen(self._rings.base, worker) == lib.TTF_RUN_STATE_DRAIN

    def attention(self, worker: int) -> None:
        """Have a worker's loop look for messages. One that sleeps needs its doorbell as well."""
        lib.ttf_run_state_attention(self._rings.base, worker)

    def waiting_packets(self) -> int:
        """Packets that are under way from one worker to another."""
        return lib.ttf_rings_waiting(self._rings.base)

    def count_abandoned(self) -> None:
        """After the last worker's end: drop by name the packets that rings still hold.

        A drain leaves none there; without time for one, a worker may end before another's last burst.
        """
        for producer in range(self._workers):
            for consumer in range(self._workers):
                ring = lib.ttf_stats_ring(self._stats.base, producer, consumer)
                waiting = (ring.pushed - ring.popped) & _U64_MASK
                ring.popped = ring.pushed
                dropped = self._worker(consumer).orphans.drops
                dropped[lib.TTF_DROP_SHUTDOWN] = _sum(dropped[lib.TTF_DROP_SHUTDOWN], waiting)


def _sum(counter: int, more: int) -> int:
    return (counter + more) & _U64_MASK


def _begin(block: "ttf_port_stats") -> None:
    """Readers of a port's block wait while its generation is odd."""
    block.generation = (block.generation + 1 | 1) & _U32_MASK


def _end(block: "ttf_port_stats") -> int:
    block.generation = (block.generation + 1) & _U32_MASK & ~1
    return block.generation

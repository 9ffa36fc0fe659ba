# SPDX-License-Identifier: Apache-2.0
"""All shared memory of one instance, as its supervisor makes, writes and removes it.

Guarantees that closing removes every name that it made, and that a port's block is never seen half written
(its generation is odd meanwhile).
"""

import os
import time
from contextlib import ExitStack
from typing import Any

from forwarder import shm
from forwarder.config.model import Config
from forwarder.devices.port import Discarded, Port
from forwarder.native import ffi, lib

_PAGE_BYTES = 4096


def pool_frames(workers: int, ring_slots: int, batch: int) -> int:
    """Frames of one worker's pool: every ring of its row may be full and four bursts are still free."""
    return max(1024, (workers - 1) * ring_slots + 4 * batch)


class SharedState:
    """The stats, rings and frames segments. Use as a context manager."""

    def __init__(self, config: Config, cpus: tuple[int, ...]) -> None:
        workers = config.queues
        self.workers = workers
        self._undo = ExitStack()
        frames = pool_frames(workers, config.ring_slots, config.batch)
        stats_bytes = lib.ttf_stats_bytes(workers, lib.TTF_MAX_PORTS)
        rings_bytes = lib.ttf_rings_bytes(workers, config.ring_slots)
        # Frames are 64 KiB of address space each; small packets touch one page of them.
        base_bytes = stats_bytes + rings_bytes
        in_use = (workers - 1) * config.ring_slots + 2 * config.batch  # a burst, and what is cut of it
        segments_bytes = lib.ttf_frames_bytes(in_use) if any(port.offload for port in config.ports) else 0
        shm.require_room(base_bytes + workers * frames * _PAGE_BYTES, base_bytes + workers * segments_bytes)
        epoch = time.time_ns()
        with ExitStack() as undo:
            self._undo = undo
            self.stats = self._create(shm.stats_name(config.name), stats_bytes)
            self.rings = self._create(shm.rings_name(config.name), rings_bytes)
            for worker in range(workers):
                segment = self._create(shm.frames_name(config.name, worker), lib.ttf_frames_bytes(frames))
                lib.ttf_frames_init(segment.base, frames, epoch)
            lib.ttf_rings_init(
                self.rings.base, workers, config.ring_slots, 0, config.bridge.ageing_s * 10**9, epoch
            )
            # The stats segment is what others look for: describe the instance before its magic is stored.
            self._describe(config, cpus)
            lib.ttf_stats_init(self.stats.base, workers, lib.TTF_MAX_PORTS, epoch)
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
        header = ffi.cast("struct ttf_header *", self.stats.base)
        header.workers, header.ports = self.workers, lib.TTF_MAX_PORTS  # the layout functions read them
        instance = self.instance
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
            self.worker(index).cpu = cpu

    @property
    def instance(self) -> Any:
        return lib.ttf_stats_instance(self.stats.base)

    def worker(self, index: int) -> Any:
        return lib.ttf_stats_worker(self.stats.base, index)

    def port(self, slot: int) -> Any:
        return lib.ttf_stats_port(self.stats.base, slot)

    # ------------------------------------------------------------------------------------- ports

    def write_port(self, slot: int, port: Port, peer: int) -> int:
        """Fill a free slot. Returns its new generation."""
        block = self.port(slot)
        block.generation += 1
        block.queues, block.mtu, block.ifindex, block.peer = port.queues, port.mtu, port.ifindex, peer
        ffi.memmove(block.mac, bytes.fromhex(port.mac.replace(":", "")), 6)
        block.name = port.name.encode()
        block.offloads = port.offloads
        block.driver, block.io = port.driver.name.encode(), port.driver.io_name.encode()
        block.netns = (port.config.netns or "").encode()
        block.note = port.note.encode()[: ffi.sizeof(block.note) - 1]
        ffi.memmove(ffi.addressof(block.device), bytes(ffi.sizeof("struct ttf_device_counters")), 128)
        block.state = lib.TTF_PORT_UP
        block.generation += 1
        return int(block.generation)

    def clear_port(self, slot: int) -> None:
        """After every worker has detached it: keep its totals, free its slot, forget its addresses."""
        block = self.port(slot)
        block.generation += 1
        lib.ttf_retire_port(self.stats.base, slot)
        lib.ttf_fdb_flush(lib.ttf_rings_fdb(self.rings.base), slot)
        block.state = lib.TTF_PORT_FREE
        block.peer = -1
        block.generation += 1

    def write_device(self, slot: int, counters: dict[str, int], now_ns: int) -> None:
        device = self.port(slot).device
        for direction in ("rx", "tx"):
            for what in ("packets", "bytes", "dropped", "errors"):
                setattr(device, f"{direction}_{what}", counters[f"{direction}_{what}"])
        device.updated_ns = now_ns

    def count_discarded(self, slot: int, worker: int, discarded: Discarded) -> None:
        """On behalf of a dead worker, the only writer while it lived: taken from its queue, and dropped."""
        counters = lib.ttf_stats_queue(self.stats.base, slot, worker)
        counters.rx_packets += discarded.packets
        counters.rx_bytes += discarded.size_bytes
        counters.drops[lib.TTF_DROP_SHUTDOWN] += discarded.packets
        counters.kernel_drops += discarded.kernel_drops

    # ----------------------------------------------------------------------------------- workers

    def recover(self, worker: int) -> int:
        """After a worker's death. Returns the packets that it lost."""
        return int(lib.ttf_recover_worker(self.stats.base, self.rings.base, worker))

    def set_run_state(self, worker: int, word: int) -> None:
        lib.ttf_run_state_set(self.rings.base, worker, word)

    def run_state_seen(self, worker: int) -> int:
        return int(lib.ttf_run_state_seen(self.rings.base, worker))

    def attention(self, worker: int) -> None:
        lib.ttf_run_state_attention(self.rings.base, worker)

    def reset_run_state(self, worker: int) -> None:
        lib.ttf_run_state_reset(self.rings.base, worker)

    def count_abandoned(self) -> None:
        """After the last worker's end: what rings still hold nobody will send. Count it as dropped, by name.

        A drain leaves nothing there; without time for one, a worker may end before another's last burst.
        """
        for producer in range(self.workers):
            for consumer in range(self.workers):
                ring = lib.ttf_stats_ring(self.stats.base, producer, consumer)
                waiting = ring.pushed - ring.popped
                ring.popped += waiting
                self.worker(consumer).orphans.drops[lib.TTF_DROP_SHUTDOWN] += waiting

    def waiting_packets(self) -> int:
        return int(lib.ttf_rings_waiting(self.rings.base))

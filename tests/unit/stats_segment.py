# SPDX-License-Identifier: Apache-2.0
"""A stats segment made by hand, for tests of its readers. It needs no worker, device or supervisor."""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Mapping
from typing import Any

from forwarder.native import ffi, lib
from forwarder.shm import Segment
from forwarder.stats.reader import StatsReader


class FakeSegment:
    """`base`: the mapping. Each method writes fields as a supervisor or a worker would."""

    def __init__(self, workers: int = 2, ports: int = 2, epoch: int = 7) -> None:
        self.size_bytes = lib.ttf_stats_bytes(workers, ports)
        self._fd = os.memfd_create("stats", os.MFD_CLOEXEC)
        os.ftruncate(self._fd, self.size_bytes)
        weakref.finalize(self, os.close, self._fd)
        self.base: Any = lib.ttf_map(self._fd, self.size_bytes, True)
        lib.ttf_stats_prepare(self.base, workers, ports, epoch)
        lib.ttf_stats_publish(self.base)
        self.now_ns = time.monotonic_ns()
        instance = lib.ttf_stats_instance(self.base)
        instance.name, instance.mode = b"lab", b"xconnect"
        instance.steering, instance.rx_mode = b"flow", b"adaptive"
        instance.state, instance.pid = lib.TTF_INSTANCE_RUNNING, os.getpid()
        instance.started_ns = instance.heartbeat_ns = self.now_ns
        instance.batch, instance.ring_slots, instance.boot_ns = 64, 512, 243_000_000
        for index in range(workers):
            self.worker(index, state=lib.TTF_WORKER_READY, pid=4000 + index, cpu=index + 2)

    def reader(self) -> StatsReader:
        base = lib.ttf_map(self._fd, self.size_bytes, False)
        return StatsReader(Segment("/ttfwd.lab.stats", base, self.size_bytes))

    def instance(self, **values: object) -> None:
        _set(lib.ttf_stats_instance(self.base), values)

    def worker(self, index: int, **values: object) -> Any:
        """Fields of the worker's struct, or of the supervisor's."""
        found, status = lib.ttf_stats_worker(self.base, index), lib.ttf_stats_status(self.base, index)
        for name, value in values.items():
            _set(found if name in dir(found) else status, {name: value})
        return found

    def status(self, index: int) -> Any:
        return lib.ttf_stats_status(self.base, index)

    @property
    def memory(self) -> bytes:
        return bytes(ffi.buffer(self.base, self.size_bytes))

    def port(self, slot: int, name: bytes, **values: object) -> None:
        found = lib.ttf_stats_port(self.base, slot)
        found.name, found.driver, found.note = name, b"turbotap", b"auto: turbotap is loaded"
        found.state, found.queues, found.mtu = lib.TTF_PORT_UP, self.workers, 1500
        found.device_name, found.link = name, lib.TTF_LINK_UP
        _set(found, values)

    def device(self, slot: int, **values: int) -> None:
        found = lib.ttf_stats_port(self.base, slot).device
        found.updated_ns = self.now_ns
        _set(found, values)

    def queue(self, slot: int, worker: int, **values: int) -> Any:
        found = lib.ttf_stats_queue(self.base, slot, worker)
        _set(found, values)
        return found

    def ring(self, producer: int, consumer: int, **values: int) -> None:
        ends = (
            lib.ttf_stats_ring_out(self.base, producer, consumer),
            lib.ttf_stats_ring_in(self.base, producer, consumer),
        )
        for name, value in values.items():
            _set(next(end for end in ends if name in dir(end)), {name: value})

    @property
    def workers(self) -> int:
        return int(ffi.cast("struct ttf_header *", self.base).workers)


def _set(found: Any, values: Mapping[str, object]) -> None:
    for name, value in values.items():
        setattr(found, name, value)

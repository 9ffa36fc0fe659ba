# SPDX-License-Identifier: Apache-2.0
"""The instance's shared memory as one worker maps it.

Everything is mapped read-only, but for what this worker is to write: its areas of the stats and of the rings,
the forwarding table, its own frame pool, and its own capture memory. Mapping reads nothing; check() is the
first look at what the segments hold, for after the privileges are gone.
"""

import os
from typing import TYPE_CHECKING

from forwarder.errors import TtfwdError
from forwarder.native import check, ffi, lib
from forwarder.worker.messages import Memory

if TYPE_CHECKING:
    from forwarder.native import CData


class MappedMemory:
    """`stats`, `rings`, `capture` and `pools` begin mappings that last as long as the process."""

    def __init__(
        self, memory: Memory, worker: int, workers: int, segments: tuple[int, ...], pools: tuple[int, ...]
    ) -> None:
        """The fds beside the messages Memory and Pools stay the caller's. Raises TtfwdError, or OSError."""
        if worker >= workers or len(pools) != workers:
            raise TtfwdError(f"worker {worker} of {workers}, with {len(pools)} pools")
        read_stats, write_stats, read_rings, write_rings, write_capture = segments
        self._stats_bytes = lib.ttf_stats_bytes(workers, lib.TTF_MAX_PORTS)
        self._rings_bytes = lib.ttf_rings_bytes(workers, memory.ring_slots)
        self.stats = _map(read_stats, self._stats_bytes)
        area = lib.ttf_stats_area(workers, lib.TTF_MAX_PORTS, worker)
        check(lib.ttf_map_writable(self.stats, area, write_stats))
        self.rings = _map(read_rings, self._rings_bytes)
        for area in (lib.ttf_fdb_area(workers), lib.ttf_rings_area(workers, memory.ring_slots, worker)):
            check(lib.ttf_map_writable(self.rings, area, write_rings))
        self.capture = _map(write_capture, ffi.sizeof("struct ttf_capture"), True)
        frames_bytes = lib.ttf_frames_bytes(memory.frames)
        self.pools = tuple(_map(fd, frames_bytes, owner == worker) for owner, fd in enumerate(pools))

    def check(self) -> None:
        """Raises TtfwdError unless the segments are of this version, and whole."""
        for what, base, size_bytes, magic in (
            ("stats", self.stats, self._stats_bytes, lib.TTF_MAGIC_STATS),
            ("rings", self.rings, self._rings_bytes, lib.TTF_MAGIC_RINGS),
        ):
            if error := lib.ttf_header_check(base, size_bytes, magic):
                raise TtfwdError(f"the {what} segment can't be used: {os.strerror(-error)}")


def _map(fd: int, size_bytes: int, writable: bool = False) -> "CData":
    base = lib.ttf_map(fd, size_bytes, writable)
    if base == ffi.NULL:
        raise OSError(ffi.errno, os.strerror(ffi.errno))
    return base

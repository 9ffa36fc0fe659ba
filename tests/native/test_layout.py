# SPDX-License-Identifier: Apache-2.0
"""Mapped segments are validated before use, and their structs don't overlap."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

import pytest

from tests.native.ext import ffi, lib
from tests.native.harness import EPOCH, Segment, rings_segment, stats_segment

KINDS: dict[str, tuple[Callable[[], Segment], int]] = {
    "stats": (lambda: stats_segment(3, 5), lib.TTF_MAGIC_STATS),
    "rings": (lambda: rings_segment(3, 64), lib.TTF_MAGIC_RINGS),
}
KIND = pytest.mark.parametrize("kind", KINDS)


def checked(segment: Segment, magic: int, size: int | None = None) -> int:
    return int(lib.ttf_header_check(segment.base, segment.size if size is None else size, magic))


@KIND
def test_good_header(kind: str) -> None:
    make, magic = KINDS[kind]
    segment = make()
    header = ffi.cast("struct ttf_header *", segment.base)
    assert checked(segment, magic) == 0
    assert checked(segment, magic, segment.size + 4096) == 0, "mappings are whole pages"
    assert (header.epoch, header.abi_version) == (EPOCH, lib.TTF_ABI_VERSION)
    assert header.total_bytes == segment.size
    segment.close()


@KIND
def test_every_bad_header_is_refused(kind: str) -> None:
    make, magic = KINDS[kind]

    def result(size: int | None = None, **fields: int) -> int:
        segment = make()
        header = ffi.cast("struct ttf_header *", segment.base)
        for name, value in fields.items():
            setattr(header, name, value)
        found = checked(segment, magic, size)
        segment.close()
        return found

    whole = make()
    size = whole.size
    whole.close()
    assert result(magic=0) == -errno.ENODATA
    for other in (lib.TTF_MAGIC_STATS, lib.TTF_MAGIC_RINGS, 1, 2**64 - 1):
        if other != magic:
            assert result(magic=other) == -errno.EBADMSG
    for version in (0, lib.TTF_ABI_VERSION + 1, 2**32 - 1):
        assert result(abi_version=version) == -errno.EPROTO
    for length in (0, 63, 65, 2**32 - 1):
        assert result(header_bytes=length) == -errno.EINVAL
    for total in (0, 64, size - 1, size + 1, 2**64 - 1):
        assert result(total_bytes=total) == -errno.EINVAL
        assert result(total_bytes=total, size=2**63) == -errno.EINVAL
    for mapped in (0, 1, 63, 64, 191, 192, size - 1):
        assert result(size=mapped) == -errno.EINVAL, "truncated"
    for workers in (0, 1, 2, 4, lib.TTF_MAX_WORKERS + 1, 2**31, 2**32 - 1):
        assert result(workers=workers) == -errno.EINVAL
        assert result(workers=workers, size=2**63, total_bytes=2**62) == -errno.EINVAL
    for ports in (0, 1, 33, 63, 65, 256, 2**17, 2**31, 2**32 - 1):
        assert result(ports=ports) == -errno.EINVAL
        assert result(ports=ports, size=2**63, total_bytes=2**62) == -errno.EINVAL


def spans(base: Any, parts: list[tuple[Any, int]]) -> list[tuple[int, int]]:
    start = int(ffi.cast("uintptr_t", base))
    return [(int(ffi.cast("uintptr_t", at)) - start, size) for at, size in parts]


def assert_tiles(found: list[tuple[int, int]], begin: int, end: int, align: int) -> None:
    """No overlap and no gap from `begin` on; after the last one, less than a page is left before `end`."""
    at = begin
    for offset, size in sorted(found):
        assert offset == at, "no overlap and no gap"
        assert offset % align == 0
        at += size
    assert end - lib.TTF_AREA_ALIGN < at <= end


def assert_areas_tile(areas: list[Any], begin: int, end: int) -> None:
    """What one worker writes is whole pages, so that others can be kept from it."""
    for area in areas:
        assert area.offset % lib.TTF_AREA_ALIGN == area.bytes % lib.TTF_AREA_ALIGN == 0
    assert_tiles([(area.offset, area.bytes) for area in areas], begin, end, lib.TTF_AREA_ALIGN)


@pytest.mark.parametrize(("workers", "ports"), [(1, 0), (1, 1), (3, 5), (128, 64)])
def test_stats_segment_is_tiled(workers: int, ports: int) -> None:
    segment = stats_segment(workers, ports)
    base = segment.base
    areas = [lib.ttf_stats_area(workers, ports, w) for w in range(workers)]
    supervisors = [(lib.ttf_stats_instance(base), ffi.sizeof("struct ttf_instance_stats"))]
    for w in range(workers):
        supervisors.append((lib.ttf_stats_status(base, w), ffi.sizeof("struct ttf_worker_status")))
    for p in range(ports):
        supervisors.append((lib.ttf_stats_port(base, p), ffi.sizeof("struct ttf_port_stats")))
        assert lib.ttf_stats_port(base, p).peer == -1
    assert_tiles(spans(base, supervisors), 64, areas[0].offset, 64)
    assert_areas_tile(areas, areas[0].offset, segment.size)
    for w, area in enumerate(areas):
        parts = [(lib.ttf_stats_worker(base, w), ffi.sizeof("struct ttf_worker_stats"))]
        for p in range(ports):
            parts.append((lib.ttf_stats_queue(base, p, w), ffi.sizeof("struct ttf_counters")))
        for other in range(workers):
            parts.append((lib.ttf_stats_ring_out(base, w, other), ffi.sizeof("struct ttf_ring_out_stats")))
            parts.append((lib.ttf_stats_ring_in(base, other, w), ffi.sizeof("struct ttf_ring_in_stats")))
        assert_tiles(spans(base, parts), area.offset, area.offset + area.bytes, 16)
    segment.close()


@pytest.mark.parametrize(("workers", "slots"), [(1, 2), (2, 64), (5, 512)])
def test_rings_segment_is_tiled(workers: int, slots: int) -> None:
    start = 2**32 - 1
    segment = rings_segment(workers, slots, start=start)
    base = segment.base
    fdb = lib.ttf_fdb_area(workers)
    areas = [fdb, *(lib.ttf_rings_area(workers, slots, w) for w in range(workers))]
    words = [(lib.ttf_rings_run_words(base, w), ffi.sizeof("struct ttf_run_words")) for w in range(workers)]
    assert_tiles(spans(base, words), ffi.sizeof("struct ttf_rings"), fdb.offset, 128)
    assert_areas_tile(areas, fdb.offset, segment.size)
    assert spans(base, [(lib.ttf_rings_fdb(base), 0)]) == [(fdb.offset, 0)]
    for w, area in enumerate(areas[1:]):
        parts = [(lib.ttf_rings_worker_words(base, w), ffi.sizeof("struct ttf_worker_words"))]
        for other in range(workers):
            out, to_it = lib.ttf_rings_ring(base, w, other), lib.ttf_rings_ring(base, other, w)
            parts.append((out.producer, ffi.sizeof("struct ttf_ring_producer")))
            parts.append((to_it.consumer, ffi.sizeof("struct ttf_ring_consumer")))
            parts.append((out.descs, slots * ffi.sizeof("struct ttf_desc")))
            indices = (out.producer.tail, out.producer.reclaimed, out.consumer.head, out.consumer.claimed)
            assert (out.slots, *indices) == (slots, *[start] * 4)
        parts.append((lib.ttf_rings_crossing_notes(base, w), ffi.sizeof("struct ttf_crossing_notes")))
        assert_tiles(spans(base, parts), area.offset, area.offset + area.bytes, 32)
    segment.close()

# SPDX-License-Identifier: Apache-2.0
"""Mapped segments are validated before use, and their structs don't overlap."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

import pytest

from tests.native.ext import ffi, lib
from tests.native.harness import EPOCH, Segment, frames_segment, rings_segment, stats_segment

KINDS: dict[str, tuple[Callable[[], Segment], int]] = {
    "stats": (lambda: stats_segment(3, 5), lib.TTF_MAGIC_STATS),
    "rings": (lambda: rings_segment(3, 64), lib.TTF_MAGIC_RINGS),
    "frames": (lambda: frames_segment(7), lib.TTF_MAGIC_FRAMES),
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
    for other in (lib.TTF_MAGIC_STATS, lib.TTF_MAGIC_RINGS, lib.TTF_MAGIC_FRAMES, 1, 2**64 - 1):
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
    if kind != "frames":
        for workers in (0, 1, 2, 4, lib.TTF_MAX_WORKERS + 1, 2**31, 2**32 - 1):
            assert result(workers=workers) == -errno.EINVAL
            assert result(workers=workers, size=2**63, total_bytes=2**62) == -errno.EINVAL
        for ports in (0, 1, 4, 6, 63, 65, 128, 2**17, 2**31, 2**32 - 1):
            assert result(ports=ports) == -errno.EINVAL
            assert result(ports=ports, size=2**63, total_bytes=2**62) == -errno.EINVAL


@pytest.mark.parametrize("frames", [0, 6, 8, 2**31, 2**32 - 1])
def test_frame_count_must_agree_with_the_size(frames: int) -> None:
    segment = frames_segment(7)
    ffi.cast("struct ttf_frames *", segment.base).frames = frames
    assert checked(segment, lib.TTF_MAGIC_FRAMES) == -errno.EINVAL
    segment.close()


def spans(base: Any, parts: list[tuple[Any, int]]) -> list[tuple[int, int]]:
    start = int(ffi.cast("uintptr_t", base))
    return [(int(ffi.cast("uintptr_t", at)) - start, size) for at, size in parts]


def assert_tiles(found: list[tuple[int, int]], begin: int, end: int, align: int) -> None:
    at = begin
    for offset, size in sorted(found):
        assert offset == at, "no overlap and no gap"
        assert offset % align == 0
        at += size
    assert at == end


@pytest.mark.parametrize(("workers", "ports"), [(1, 0), (1, 1), (3, 5), (128, 64)])
def test_stats_segment_is_tiled(workers: int, ports: int) -> None:
    segment = stats_segment(workers, ports)
    parts = [(lib.ttf_stats_instance(segment.base), ffi.sizeof("struct ttf_instance_stats"))]
    for w in range(workers):
        parts.append((lib.ttf_stats_worker(segment.base, w), ffi.sizeof("struct ttf_worker_stats")))
        for p in range(ports):
            parts.append((lib.ttf_stats_queue(segment.base, p, w), ffi.sizeof("struct ttf_counters")))
        for to in range(workers):
            parts.append((lib.ttf_stats_ring(segment.base, w, to), ffi.sizeof("struct ttf_ring_stats")))
    for p in range(ports):
        parts.append((lib.ttf_stats_port(segment.base, p), ffi.sizeof("struct ttf_port_stats")))
        assert lib.ttf_stats_port(segment.base, p).peer == -1
    assert_tiles(spans(segment.base, parts), 64, segment.size, 64)
    segment.close()


@pytest.mark.parametrize(("workers", "slots"), [(1, 2), (2, 64), (5, 512)])
def test_rings_segment_is_tiled(workers: int, slots: int) -> None:
    segment = rings_segment(workers, slots, start=2**32 - 1)
    parts = [(lib.ttf_rings_fdb(segment.base), ffi.sizeof("struct ttf_fdb"))]
    bytes_a_ring = ffi.sizeof("struct ttf_ring") + slots * ffi.sizeof("struct ttf_desc")
    for w in range(workers):
        parts.append((lib.ttf_rings_run_words(segment.base, w), ffi.sizeof("struct ttf_run_words")))
        for to in range(workers):
            ring = lib.ttf_rings_ring(segment.base, w, to)
            parts.append((ring, bytes_a_ring))
            assert (ring.slots, ring.start, ring.tail, ring.head) == (slots, *[2**32 - 1] * 3)
    found = spans(segment.base, parts)
    assert_tiles(found, 128, segment.size, 32)
    segment.close()

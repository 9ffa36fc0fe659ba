# SPDX-License-Identifier: Apache-2.0
"""Segments are whole or not there, and keep their size."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import resource
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from forwarder import shm, shm_names
from forwarder.errors import SegmentError
from forwarder.native import lib


@pytest.fixture
def sealed() -> Iterator[int]:
    fd = shm.sealed_memory("the test's memory", 8192)
    yield fd
    os.close(fd)


def test_sealed_memory_keeps_its_size(sealed: int) -> None:
    for size in (0, 4096, 16384):
        with pytest.raises(PermissionError):
            os.ftruncate(sealed, size)
    with pytest.raises(PermissionError):
        fcntl.fcntl(sealed, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)


def test_a_read_only_descriptor_makes_no_writable_mapping(sealed: int) -> None:
    readonly = shm.read_only("the test's memory", sealed)
    try:
        base = lib.ttf_map(readonly, 8192, False)
        assert base
        assert lib.ttf_map_writable(base, lib.ttf_fdb_area(1), readonly) == -errno.EACCES
        lib.ttf_unmap(base, 8192)
    finally:
        os.close(readonly)


def test_a_limit_of_the_size_of_files_is_told() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(SegmentError, match=r"the pool can't be made: File too large; it needs 8 KiB"):
            shm.sealed_memory("the pool", 8192)
        with pytest.raises(SegmentError, match="File too large"):
            shm.Segment.create(shm_names.stats_name(f"unit-{os.getpid()}"), 8192)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not (shm_names.SHM_DIRECTORY / f"ttfwd.unit-{os.getpid()}.stats").exists()


def test_little_memory_is_warned_of(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=40 << 20))
    with caplog.at_level(logging.WARNING):
        shm.warn_of_little_memory(30 << 20)
        assert not caplog.text
        shm.warn_of_little_memory(50 << 20)
    assert "40 MiB of memory are available; the instance needs 50 MiB when its rings are full" in caplog.text

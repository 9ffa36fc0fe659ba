# SPDX-License-Identifier: Apache-2.0
"""The shared memory segments of an instance, as listed in /dev/shm."""

from __future__ import annotations

from pathlib import Path

_SHM = Path("/dev/shm")


def segments_of(instance: str) -> list[str]:
    """The names of the segments that an instance has now."""
    return sorted(path.name for path in _SHM.glob(f"ttfwd.{instance}.*"))


def remove_segments(instance: str) -> None:
    for name in segments_of(instance):
        (_SHM / name).unlink(missing_ok=True)

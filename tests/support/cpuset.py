# SPDX-License-Identifier: Apache-2.0
"""A cgroup of a test's own, in which it says which CPUs its processes may use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.capabilities import missing
from tests.support.commands import unique
from tests.support.wait import wait_until


class Cpuset:
    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, pids: Iterable[int]) -> None:
        for pid in pids:
            (self._path / "cgroup.procs").write_text(str(pid))

    def allow(self, cpus: str) -> None:
        (self._path / "cpuset.cpus").write_text(cpus)


@contextmanager
def cpuset(cpus: str) -> Iterator[Cpuset]:
    """Its processes must have ended, or left, at the end of the block."""
    path = _root() / unique("ttfwd")
    path.mkdir()
    try:
        found = Cpuset(path)
        found.allow(cpus)
        (path / "cpuset.mems").write_text("0")
        yield found
    finally:
        wait_until(lambda: not (path / "cgroup.procs").read_text(), f"every process has left {path}")
        path.rmdir()


def _root() -> Path:
    """Where cpusets are made: the hierarchy of version 1, or that of version 2 if it has the controller."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, where, kind, options, *_ = line.split()
        if kind == "cgroup" and "cpuset" in options.split(","):
            return Path(where)
        if kind == "cgroup2" and "cpuset" in (Path(where) / "cgroup.controllers").read_text().split():
            (Path(where) / "cgroup.subtree_control").write_text("+cpuset")
            return Path(where)
    missing("cpuset cgroups")

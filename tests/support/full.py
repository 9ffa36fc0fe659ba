# SPDX-License-Identifier: Apache-2.0
"""A small file system for tests of what happens when there is no room left."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.commands import run


class SmallDisk:
    """A tmpfs at `path`, of few pages and few files."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._filler = path / "filler"

    def fill(self) -> None:
        """Until not one byte more fits."""
        with self._filler.open("ab", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise

    @contextmanager
    def read_only(self) -> Iterator[None]:
        """By another mount on top: the kernel refuses to change one with files that are open for writing."""
        run("mount", "--bind", self.path, self.path)
        try:
            run("mount", "-o", "remount,bind,ro", self.path)
            yield
        finally:
            run("umount", "--lazy", self.path)

    def free(self) -> None:
        self._filler.unlink()


@contextmanager
def small_disk(path: Path, *, pages: int = 32, files: int | None = None) -> Iterator[SmallDisk]:
    """`files` of None: as many as one likes."""
    path.mkdir(exist_ok=True)
    limits = f"size={4 * pages}k" + (
        f",nr_inodes={files + 1}" if files is not None else ""
    )  # the root is one, too
    run("mount", "-t", "tmpfs", "-o", f"{limits},mode=755", "ttfwd-test", path)
    try:
        yield SmallDisk(path)
    finally:
        run("umount", "--lazy", path)

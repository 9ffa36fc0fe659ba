# SPDX-License-Identifier: Apache-2.0
"""The files in which the kernel tells about the host: /proc and /sys, or a copy of them below another root.

A file that is absent, unreadable or not as expected is None: unknown. It never counts as a good value.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from forwarder.config.cpus import parse_cpu_list


@dataclass(frozen=True, slots=True)
class Tree:
    """Paths are given without the root: "/proc/stat"."""

    root: Path = Path("/")
    below: str = ""  # the root has only what is below this: "/sys"

    def path(self, name: str) -> Path:
        return self.root / name.removeprefix(self.below).lstrip("/")

    def text(self, name: str) -> str | None:
        """The file's text without the white space around it."""
        try:
            return self.path(name).read_text(encoding="utf-8", errors="replace").strip()
        except OSError:
            return None

    def lines(self, name: str) -> tuple[str, ...]:
        """The file's lines; none where it is unknown."""
        return tuple((self.text(name) or "").splitlines())

    def number(self, name: str) -> int | None:
        text = self.text(name)
        return int(text) if text is not None and re.fullmatch(r"-?[0-9]+", text) else None

    def cpus(self, name: str) -> frozenset[int] | None:
        """The CPUs of a list such as "0-3,8". An empty file names none."""
        text = self.text(name)
        if text is None or text in ("", "(null)"):  # the kernel's word for a mask that was never set
            return None if text is None else frozenset()
        try:
            return frozenset(parse_cpu_list(text))
        except ValueError:
            return None

    def mask(self, name: str) -> frozenset[int] | None:
        """The CPUs of a mask such as "ff,00000001", the highest first."""
        text = self.text(name)
        if text is None or not re.fullmatch(r"[0-9a-f]+(,[0-9a-f]{8})*", text):
            return None
        bits = int(text.replace(",", ""), 16)
        return frozenset(cpu for cpu in range(bits.bit_length()) if bits >> cpu & 1)

    def chosen(self, name: str) -> str | None:
        """The word in brackets, of a file such as "always [madvise] never"."""
        found = re.search(r"\[([^]]+)\]", self.text(name) or "")
        return found[1] if found else None

    def names(self, name: str) -> tuple[str, ...]:
        """The names in a folder, sorted, numbers by their value; none where there is no such folder."""
        try:
            found = [path.name for path in self.path(name).iterdir()]
        except OSError:
            return ()
        return tuple(sorted(found, key=_natural))

    def exists(self, name: str) -> bool:
        return self.path(name).exists()


HOST = Tree()
NOWHERE = Tree(Path("/dev/null"))  # where no file is


def _natural(name: str) -> list[tuple[bool, int, str]]:
    parts = re.findall(r"[0-9]+|[^0-9]+", name)
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]

# SPDX-License-Identifier: Apache-2.0
"""The kernel's lists of CPUs."""

from __future__ import annotations


def numbers(text: str) -> list[int]:
    """The CPUs of a list such as "1,4-6". Of none, the kernel writes nothing or "(null)"."""
    found: list[int] = []
    for part in text.strip().replace("(null)", "").split(","):
        if part:
            first, _, last = part.partition("-")
            found.extend(range(int(first), int(last or first) + 1))
    return found

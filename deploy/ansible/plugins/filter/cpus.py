# SPDX-License-Identifier: Apache-2.0
"""The kernel's lists of CPUs, for playbooks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def numbers(text: str) -> list[int]:
    """The CPUs of a list such as "1,4-6". Of none, the kernel writes nothing or "(null)"."""
    found: list[int] = []
    for part in text.strip().replace("(null)", "").split(","):
        if part:
            first, _, last = part.partition("-")
            found.extend(range(int(first), int(last or first) + 1))
    return found


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"lab_cpu_numbers": numbers}

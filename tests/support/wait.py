# SPDX-License-Identifier: Apache-2.0
"""Waits for a condition, with a time limit."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.support.commands import TIME_FACTOR

# Conditions become true in moments. Only a hang or a busy machine takes as long as this.
TIMEOUT_S = 60.0 * TIME_FACTOR


def wait_until(condition: Callable[[], object], what: str, timeout_s: float = TIMEOUT_S) -> None:
    """Poll until the condition is true. After the limit, fails and names `what`."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s: {what}"
        time.sleep(0.01)

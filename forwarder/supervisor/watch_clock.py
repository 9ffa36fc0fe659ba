# SPDX-License-Identifier: Apache-2.0
"""The clock of every deadline that the supervisor holds against others.

It counts the time in which the supervisor looked. Between two looks at most STEP_NS pass, however long the
supervisor itself was away: stopped, in a frozen cgroup, in a suspended virtual machine, or busy with a slow
device. So nobody is punished because the supervisor came late.
"""

import time
from collections.abc import Callable

STEP_NS = 250_000_000  # as long as the supervisor sleeps between two looks


class WatchClock:
    """`read` is a clock in nanoseconds that never goes back."""

    def __init__(self, read: Callable[[], int] = time.monotonic_ns) -> None:
        self._read = read
        self._looked_ns = self._now_ns = read()

    def now_ns(self) -> int:
        """Look. Only differences of these times mean anything."""
        looked_ns = self._read()
        self._now_ns += min(looked_ns - self._looked_ns, STEP_NS)
        self._looked_ns = looked_ns
        return self._now_ns

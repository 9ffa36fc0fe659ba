# SPDX-License-Identifier: Apache-2.0
"""How often a crashing worker may be started again at once: a leaky bucket.

Pure: it reads no clock and sleeps nowhere. Guarantees that over any span of time t no more than capacity +
t / leak_ns crashes are admitted, so that a worker which dies on every start can't keep the machine busy
with starting it.
"""

from __future__ import annotations

DEFAULT_CAPACITY = 5
DEFAULT_LEAK_NS = 2_000_000_000


class LeakyBucket:
    """A bucket that holds `capacity` crashes and forgets one every `leak_ns`.

    Kept as one number, the time at which the bucket will have run empty (the "virtual scheduling" form
    of the same algorithm, ITU-T I.371): nothing needs to run while nothing crashes. A `now_ns` that lies
    before an earlier one only makes the answer stricter.
    """

    __slots__ = ("_empty_at_ns", "capacity", "leak_ns")

    def __init__(self, capacity: int = DEFAULT_CAPACITY, leak_ns: int = DEFAULT_LEAK_NS) -> None:
        """Raises ValueError unless both are at least 1."""
        if capacity < 1 or leak_ns < 1:
            raise ValueError("a bucket needs a capacity and a leak time of at least 1")
        self.capacity = capacity
        self.leak_ns = leak_ns
        self._empty_at_ns: int | None = None  # None: nothing was ever poured in

    def admit(self, now_ns: int) -> bool:
        """Pour one crash in. True: restart at once. False: the bucket is full and was left as it is."""
        if self.next_admission_ns(now_ns) > now_ns:
            return False
        filled_from_ns = now_ns if self._empty_at_ns is None else max(self._empty_at_ns, now_ns)
        self._empty_at_ns = filled_from_ns + self.leak_ns
        return True

    def next_admission_ns(self, now_ns: int) -> int:
        """The earliest time, `now_ns` or later, at which `admit` says yes."""
        if self._empty_at_ns is None:
            return now_ns
        return max(now_ns, self._empty_at_ns - (self.capacity - 1) * self.leak_ns)

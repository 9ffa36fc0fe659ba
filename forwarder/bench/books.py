# SPDX-License-Identifier: Apache-2.0
"""Three books of one trial, reconciled: the tester's, the DUT's, the devices'. A lost frame gets one place.

    tester --sent--> [device] --before--> [ DUT: dropped by reason ] --after--> [device] --receiver--> tester

How many frames are lost is never taken from counters: the receiver knows by their sequence numbers. Counters
only say where. They count frames of others, too (the kernel's neighbour discovery), so together they may
claim more than was lost: a frame is placed once, in the order of its way. What nobody claims is unexplained.
"""

from __future__ import annotations

from collections.abc import Mapping

from forwarder.bench.dut import Account, Cost, Dut
from forwarder.results.model import Lost
from forwarder.tester.trial import Sent


class Books:
    """The ledger of a DUT: begin() before each trial, rest() once all is sent, place() after it."""

    def __init__(self, dut: Dut) -> None:
        self._dut = dut
        self._before = self._after = Account()

    def begin(self) -> None:
        """Raises DutStopped, DeviceError."""
        self._before = self._dut.account(whole=False)

    def rest(self) -> None:
        """Raises DutStopped, DeviceError."""
        self._after = self._dut.account()

    def place(self, sent: Sent) -> Lost:
        before, after = self._before, self._after
        self._dut.spent(Cost(after.received - before.received, after.cpu_ns - before.cpu_ns))
        return place(
            sent,
            before=after.dropped_before - before.dropped_before,
            inside={reason: count - before.dropped.get(reason, 0) for reason, count in after.dropped.items()},
            after=after.dropped_after - before.dropped_after,
            gives_reasons=self._dut.gives_reasons,
        )


def place(sent: Sent, before: int, inside: Mapping[str, int], after: int, gives_reasons: bool = True) -> Lost:
    """Where the frames of one trial were lost. Pure.

    `before`, `inside` by reason, and `after`: what the DUT and its devices counted as dropped meanwhile.
    `gives_reasons` False: the DUT keeps no books, so what nobody else claims was lost inside.
    """
    left = max(0, sum(way.lost for way in sent.ways))

    def claim(count: int) -> int:
        nonlocal left
        claimed = min(left, max(0, count))
        left -= claimed
        return claimed

    lost_before = claim(sum(sent.books.refused) + before)
    lost_inside = {reason: claim(count) for reason, count in inside.items()}
    lost_after = claim(after)
    lost_at_receiver = claim(_dropped_at_receiver(sent))
    if not gives_reasons:
        lost_inside["inside"] = claim(left)
    return Lost(
        before_dut=lost_before,
        dut={reason: count for reason, count in lost_inside.items() if count},
        after_dut=lost_after,
        receiver=lost_at_receiver,
        unexplained=left,
    )


def _dropped_at_receiver(sent: Sent) -> int:
    """A tap whose frames an XDP receiver takes counts each of them as dropped. Those aren't lost."""
    dropped = 0
    for way, count in zip(sent.ways, sent.books.receiver_dropped, strict=True):
        taken = way.received + way.duplicates + way.stale
        dropped += count - taken if count >= taken > 0 else count
    return dropped

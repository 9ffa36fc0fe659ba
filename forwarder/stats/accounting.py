# SPDX-License-Identifier: Apache-2.0
"""Whether every packet of a snapshot is accounted for. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from forwarder.stats.counters import SUMMED
from forwarder.stats.snapshot import Snapshot

_IMPOSSIBLE = 2**62  # bytes at 1 Tbit/s for a year


@dataclass(frozen=True, slots=True)
class Accounting:
    """Where every packet went: received + generated + copied = sent + dropped + waiting + lost in a crash."""

    received_packets: int
    generated_packets: int
    copied_packets: int
    sent_packets: int
    dropped_packets: Mapping[str, int]  # by reason
    waiting_packets: int  # in handoff rings
    lost_in_crash_packets: int
    exact: bool  # False: counters were damaged and restored, or are impossible now

    @property
    def taken_in_packets(self) -> int:
        return self.received_packets + self.generated_packets + self.copied_packets

    @property
    def explained_packets(self) -> int:
        return (
            self.sent_packets
            + sum(self.dropped_packets.values())
            + self.waiting_packets
            + self.lost_in_crash_packets
        )

    @property
    def difference_packets(self) -> int:
        """Packets without an explanation: bursts in flight, and what moved while the counters were read."""
        return self.taken_in_packets - self.explained_packets

    @property
    def closes(self) -> bool:
        """Every packet is accounted for. Sums of damaged counters never say that."""
        return self.exact and self.difference_packets == 0


def accounting(snapshot: Snapshot) -> Accounting:
    counters = snapshot.counters
    return Accounting(
        received_packets=counters.rx_packets,
        generated_packets=counters.generated_packets,
        copied_packets=counters.copied_packets,
        sent_packets=counters.tx_packets,
        dropped_packets=counters.drops,
        waiting_packets=sum(ring.depth_packets for ring in snapshot.rings),
        lost_in_crash_packets=sum(worker.lost_in_crash_packets for worker in snapshot.workers),
        exact=not snapshot.instance.damaged and _possible(snapshot),
    )


def _possible(snapshot: Snapshot) -> bool:
    """Whether no number shows that a worker wrote what it never counted."""
    counters = snapshot.counters
    numbers = (
        *(getattr(counters, name) for name in SUMMED),
        *counters.drops.values(),
        *(ring.depth_packets for ring in snapshot.rings),
    )
    return all(0 <= number < _IMPOSSIBLE for number in numbers) and all(
        worker.pool_free_frames <= worker.pool_frames for worker in snapshot.workers
    )

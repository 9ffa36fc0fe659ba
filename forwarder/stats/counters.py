# SPDX-License-Identifier: Apache-2.0
"""The counters of a queue or of a worker, and sums and differences of them. Units are in the names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from forwarder.native import ffi, lib

SUMMED = (
    "rx_packets",
    "rx_bytes",
    "rx_calls",
    "rx_empty_calls",
    "tx_packets",
    "tx_bytes",
    "tx_calls",
    "generated_packets",
    "copied_packets",
    "kernel_drops",
)


def ratio(over: float, under: float) -> float | None:
    return over / under if under else None


@dataclass(frozen=True, slots=True)
class Counters:
    """One `struct ttf_counters`, or a sum or difference of several. `drops` names every reason."""

    rx_packets: int = 0
    rx_bytes: int = 0
    rx_calls: int = 0
    rx_empty_calls: int = 0
    tx_packets: int = 0
    tx_bytes: int = 0
    tx_calls: int = 0
    generated_packets: int = 0
    copied_packets: int = 0
    kernel_drops: int = 0
    drops: Mapping[str, int] = field(default_factory=dict)
    rx_bursts: tuple[int, ...] = (0,) * lib.TTF_BURST_BUCKETS

    def __add__(self, other: Counters) -> Counters:
        return self._with(other, 1)

    def since(self, before: Counters) -> Counters | None:
        """What was counted after `before`; None if any counter went backwards."""
        counted = self._with(before, -1)
        values = (*(getattr(counted, name) for name in SUMMED), *counted.drops.values(), *counted.rx_bursts)
        return counted if min(values) >= 0 else None

    def _with(self, other: Counters, sign: int) -> Counters:
        return Counters(
            **{name: getattr(self, name) + sign * getattr(other, name) for name in SUMMED},
            drops={
                reason: self.drops.get(reason, 0) + sign * other.drops.get(reason, 0)
                for reason in {**self.drops, **other.drops}
            },
            rx_bursts=tuple(a + sign * b for a, b in zip(self.rx_bursts, other.rx_bursts, strict=True)),
        )

    @property
    def dropped_packets(self) -> int:
        return sum(self.drops.values())

    @property
    def rx_packets_per_call(self) -> float | None:
        """Packets per receiving system call, of the calls that received something; None without any."""
        return ratio(self.rx_packets, self.rx_calls)

    @property
    def tx_packets_per_call(self) -> float | None:
        return ratio(self.tx_packets, self.tx_calls)


def total(counters: Sequence[Counters]) -> Counters:
    return sum(counters, start=Counters())


def drop_reasons() -> dict[str, str]:
    """Every reason's name and its meaning, in the order of `enum ttf_drop`."""
    return {
        ffi.string(lib.ttf_drop_name(reason)).decode(): ffi.string(lib.ttf_drop_meaning(reason)).decode()
        for reason in range(lib.TTF_DROP_COUNT)
    }

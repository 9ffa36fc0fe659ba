# SPDX-License-Identifier: Apache-2.0
"""What is measured: ways of forwarding, frame sizes, batches, what becomes of the frames, and the bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

BASELINE = "rw"
WAYS = {
    "rw": "read/write",
    "uring": "io_uring",
    "mmsg": "mmsg",
    "burst": "burst messages",
}
PARTS = ("receive", "send")

# Bytes of a frame in a tap, and what the field calls it: there, the frame check sequence counts.
SIZES = {60: "64 B", 590: "594 B", 1514: "1518 B", 8996: "9000 B"}
BATCHES = (1, 8, 32, 64, 256)
REFERENCE_SIZE = 60
REFERENCE_BATCH = 64


@dataclass(frozen=True, order=True)
class Cell:
    """A load, under which each way is measured."""

    size_bytes: int
    batch_packets: int
    delivered: bool  # to a UDP socket, rather than dropped by the stack

    @property
    def name(self) -> str:
        return f"{SIZES[self.size_bytes]}, {'UDP socket' if self.delivered else 'dropped'}"


@dataclass(frozen=True)
class Bar:
    """At most so many times the baseline's instructions, and so many system calls a packet."""

    way: str
    cell: Cell
    ratio: float
    system_calls_per_packet: float


def all_cells() -> Sequence[Cell]:
    return [
        Cell(size, batch, delivered) for delivered in (False, True) for size in SIZES for batch in BATCHES
    ]


def one_batch() -> Sequence[Cell]:
    """Those of the reference batch."""
    return [cell for cell in all_cells() if cell.batch_packets == REFERENCE_BATCH]


def word_cells() -> Sequence[Cell]:
    """What is measured again with copies that count by words."""
    return [Cell(size, REFERENCE_BATCH, delivered=False) for size in SIZES if size != 590]


def bars() -> Sequence[Bar]:
    calls = 2 / REFERENCE_BATCH
    smallest = Cell(REFERENCE_SIZE, REFERENCE_BATCH, delivered=False)
    return [
        Bar("mmsg", smallest, 1.05, calls),
        Bar("burst", smallest, 0.60, calls),
        *(
            Bar(way, cell, 1.02, calls)
            for cell in one_batch()
            if cell.size_bytes >= 1514
            for way in ("mmsg", "burst")
        ),
    ]

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

# TCP that is still to be cut, into 45 packets of MTU 1500; a virtio_net_hdr comes on top. A batch is what
# ttfwd's driver `tap` reads of them before it sends: 512 KiB.
SEGMENT_SIZE = 65226
SEGMENT_BATCH = 8


# TCP through ttfwd itself, with offload, by driver; turbotap's default are burst messages.
TCP_BASELINE = "tap"
TCP_SUBJECT = "turbotap"
TCP_BAR = 0.90  # what the subject takes for a GB, times the baseline's


@dataclass(frozen=True, order=True)
class Cell:
    """A load, under which each way is measured."""

    size_bytes: int
    batch_packets: int
    delivered: bool  # to a UDP socket, rather than dropped by the stack

    @property
    def segments(self) -> bool:
        return self.size_bytes == SEGMENT_SIZE

    @property
    def name(self) -> str:
        what = "64 KB of TCP" if self.segments else SIZES[self.size_bytes]
        return f"{what}, {'UDP socket' if self.delivered else 'dropped'}"


@dataclass(frozen=True)
class Bar:
    """At most so many times the baseline's instructions, and so many system calls a packet."""

    way: str
    cell: Cell
    ratio: float
    system_calls_per_packet: float


REFERENCE = Cell(REFERENCE_SIZE, REFERENCE_BATCH, delivered=False)
SEGMENTS = Cell(SEGMENT_SIZE, SEGMENT_BATCH, delivered=False)


def all_cells() -> Sequence[Cell]:
    grid = [
        Cell(size, batch, delivered) for delivered in (False, True) for size in SIZES for batch in BATCHES
    ]
    return [*grid, SEGMENTS]


def one_batch() -> Sequence[Cell]:
    """Those of the reference batch, and segments."""
    return [cell for cell in all_cells() if cell.batch_packets == REFERENCE_BATCH or cell.segments]


def word_cells() -> Sequence[Cell]:
    """What is measured again with copies that count by words."""
    return [cell for cell in one_batch() if not cell.delivered and cell.size_bytes != 590]


def bars() -> Sequence[Bar]:
    calls = 2 / REFERENCE_BATCH
    return [
        Bar("mmsg", REFERENCE, 1.05, calls),
        Bar("burst", REFERENCE, 0.60, calls),
        *(
            Bar(way, cell, 1.02, calls)
            for cell in one_batch()
            if cell.size_bytes >= 1514 and not cell.segments
            for way in ("mmsg", "burst")
        ),
        Bar("burst", SEGMENTS, 0.90, 2 / SEGMENT_BATCH),
    ]

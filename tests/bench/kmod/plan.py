# SPDX-License-Identifier: Apache-2.0
"""The plan: ways of forwarding, frame sizes, batches, the destination of the frames, and the bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

BASELINE = "rw"
WAYS = {
    "rw": "read/write",
    "uring": "io_uring",
    "mmsg": "mmsg",
    "burst": "burst messages",
    "crossing": "crossing",
    "ttfwd": "ttfwd's loop, crossing",
}
# Receiving and sending alone can be measured of these: a crossing sends only what it has received.
SEPARABLE = tuple(way for way in WAYS if way not in ("crossing", "ttfwd"))
PARTS = ("receive", "send")

# Bytes of a frame on a tap, and its conventional size, which includes the frame check sequence.
SIZES = {60: "64 B", 590: "594 B", 1514: "1518 B", 8996: "9000 B"}
BATCHES = (1, 8, 32, 64, 256)
REFERENCE_SIZE = 60
REFERENCE_BATCH = 64

# GSO frames of TCP that are segmented into 45 packets of MTU 1500. The virtio_net_hdr is extra. A batch has
# the 512 KiB that ttfwd's driver `tap` reads before it sends.
SEGMENT_SIZE = 65226
SEGMENT_BATCH = 8

# Of a crossing, by the size of a frame: instructions as a multiple of the baseline's.
CROSSING_BARS = ((60, 0.36), (1514, 0.34))

# ttfwd's loop over a crossing, as a multiple of the bare loop's.
LOOP_BAR = 1.10

# TCP through ttfwd itself, with offload, by driver and io.
TCP_BASELINE = "tap"
TCP_SUBJECT = "turbotap/zerocopy"
TCP_WAYS = (TCP_BASELINE, "turbotap/burst", TCP_SUBJECT)
TCP_BAR = 0.90  # the subject's cost of a GB, as a multiple of the baseline's


@dataclass(frozen=True, order=True)
class Cell:
    """A load. Each way is measured under it."""

    size_bytes: int
    batch_packets: int
    delivered: bool  # to a UDP socket instead of dropped by the stack

    @property
    def segments(self) -> bool:
        return self.size_bytes == SEGMENT_SIZE

    @property
    def name(self) -> str:
        what = "64 KB of TCP" if self.segments else SIZES[self.size_bytes]
        return f"{what}, {'UDP socket' if self.delivered else 'dropped'}"


@dataclass(frozen=True)
class Bar:
    """Limits: a multiple of the baseline's instructions, and system calls per packet."""

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
    """The cells of the reference batch, and those of GSO frames."""
    return [cell for cell in all_cells() if cell.batch_packets == REFERENCE_BATCH or cell.segments]


def word_cells() -> Sequence[Cell]:
    """The cells that are measured again with copies by words."""
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
        *(
            Bar(way, Cell(size, REFERENCE_BATCH, False), round(ratio * more, 3), calls)
            for size, ratio in CROSSING_BARS
            for way, more in (("crossing", 1.0), ("ttfwd", LOOP_BAR))
        ),
        Bar("crossing", SEGMENTS, 0.14, 2 / SEGMENT_BATCH),
    ]

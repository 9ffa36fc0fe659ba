# SPDX-License-Identifier: Apache-2.0
"""The plan: what is measured of which ways of forwarding, with which frames and batches, and the bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

BASELINE = "rw"
WAYS = {
    "rw": "read/write",
    "uring": "io_uring",
    "mmsg": "mmsg",
    "burst": "burst messages",
    "crossing": "crossing",
    "ttfwd": "ttfwd's loop",
    "capture": "ttfwd's loop, captured",
}

# Scopes: what is measured. Tap to tap, and tap to device: what a forwarder does with frames that wait for it.
# Whole path: also the sender's calls. All the work of a way within the kernel is done in them.
FORWARD, WHOLE, DEVICE = "forward", "whole", "device"
SCOPES = {FORWARD: "tap to tap", WHOLE: "whole path", DEVICE: "tap to device"}

# Of each scope, in the order of the columns. The first is the one that the others are compared with.
WAYS_OF = {
    FORWARD: WAYS,
    WHOLE: {
        "bridge": "Linux bridge",
        "mirred": "tc mirred",
        "veth": "bare veth",
        **{way: WAYS[way] for way in ("rw", "burst", "crossing", "ttfwd")},
    },
    DEVICE: {"burst-device": "burst messages, sendmmsg", "crossing-device": "crossing"},
}

# Receiving and sending alone can be measured of these: a crossing sends only what it has received.
SEPARABLE = tuple(way for way in WAYS if way not in ("crossing", "ttfwd", "capture"))
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

# Of a crossing, by the size of a frame: instructions as a multiple of read/write's, and of a Linux bridge's.
CROSSING_BARS = {60: 0.36, 1514: 0.34, SEGMENT_SIZE: 0.14}
WHOLE_BARS = {60: 0.95, 1514: 0.97, SEGMENT_SIZE: 1.00}
DEVICE_BARS = {60: 0.45}

# ttfwd's loop over a crossing, as a multiple of the bare loop's.
LOOP_BAR = 1.10

# TCP through ttfwd itself, with offload, by driver and io.
TCP_BASELINE = "tap"
TCP_SUBJECT = "turbotap/zerocopy"
TCP_UNBATCHED = f"{TCP_SUBJECT}, SCHED_OTHER"
TCP_BRIDGE = "Linux bridge"
TCP_WAYS = (TCP_BASELINE, "turbotap/burst", TCP_SUBJECT, TCP_UNBATCHED)
TCP_BAR = 0.90  # the subject's cost of a GB, as a multiple of the baseline's
# By series: all instructions on the machine, as a multiple of those with a Linux bridge, copies by words.
TCP_BRIDGE_BARS = {"6.1": 0.80, "6.12": 0.90}


@dataclass(frozen=True, order=True)
class Cell:
    """A load. Each way is measured under it."""

    size_bytes: int
    batch_packets: int
    delivered: bool = False  # to a UDP socket instead of dropped by the stack
    scope: str = FORWARD

    @property
    def ways(self) -> Mapping[str, str]:
        return WAYS_OF[self.scope]

    @property
    def baseline(self) -> str:
        return next(iter(self.ways))

    @property
    def segments(self) -> bool:
        return self.size_bytes == SEGMENT_SIZE

    @property
    def name(self) -> str:
        what = "64 KB of TCP" if self.segments else SIZES[self.size_bytes]
        return f"{what}, {'UDP socket' if self.delivered else 'dropped'}"


@dataclass(frozen=True)
class Bar:
    """Limits: a multiple of another way's instructions, and the way's own system calls per packet."""

    way: str
    cell: Cell
    ratio: float
    system_calls_per_packet: float
    against: str


REFERENCE = Cell(REFERENCE_SIZE, REFERENCE_BATCH)
SEGMENTS = Cell(SEGMENT_SIZE, SEGMENT_BATCH)


def all_cells() -> Sequence[Cell]:
    grid = [
        Cell(size, batch, delivered) for delivered in (False, True) for size in SIZES for batch in BATCHES
    ]
    return [*grid, SEGMENTS]


def one_batch() -> Sequence[Cell]:
    """The cells of the reference batch, and those of GSO frames."""
    return [cell for cell in all_cells() if cell.batch_packets == REFERENCE_BATCH or cell.segments]


def scope_cells() -> Sequence[Cell]:
    """The cells of the whole path, and from tap to device."""
    return [_cell(size, scope) for scope in (WHOLE, DEVICE) for size in (60, 1514, SEGMENT_SIZE)]


def word_cells() -> Sequence[Cell]:
    """The cells that are measured with copies by words."""
    again = [cell for cell in one_batch() if not cell.delivered and cell.size_bytes != 590]
    return [*again, *scope_cells()]


def quick_cells() -> Sequence[Cell]:
    """The cells that bars are about, of those that are measured with copies by bytes."""
    return sorted({bar.cell for bar in bars() if bar.cell.scope == FORWARD})


def bars() -> Sequence[Bar]:
    large = [cell for cell in one_batch() if cell.size_bytes >= 1514 and not cell.segments]
    return [
        _bar("mmsg", REFERENCE, 1.05),
        _bar("burst", REFERENCE, 0.60),
        *(_bar(way, cell, 1.02) for cell in large for way in ("mmsg", "burst")),
        _bar("burst", SEGMENTS, 0.90),
        *(_bar("crossing", _cell(size), ratio) for size, ratio in CROSSING_BARS.items()),
        *(_bar("ttfwd", _cell(size), LOOP_BAR, against="crossing") for size in CROSSING_BARS),
        *(_bar("crossing", _cell(size, WHOLE), ratio) for size, ratio in WHOLE_BARS.items()),
        *(_bar("crossing-device", _cell(size, DEVICE), ratio) for size, ratio in DEVICE_BARS.items()),
    ]


def _cell(size_bytes: int, scope: str = FORWARD) -> Cell:
    batch = SEGMENT_BATCH if size_bytes == SEGMENT_SIZE else REFERENCE_BATCH
    return Cell(size_bytes, batch, scope=scope)


def _bar(way: str, cell: Cell, ratio: float, against: str = "") -> Bar:
    """Against the cell's baseline, unless `against` names another way."""
    return Bar(way, cell, ratio, 2 / cell.batch_packets, against or cell.baseline)

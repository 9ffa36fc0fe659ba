# SPDX-License-Identifier: Apache-2.0
"""Results of the guest's program: samples, medians, ratios within a round, bars."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from tests.bench.kmod.plan import DEVICE, FORWARD, PARTS, WAYS_OF, WHOLE, Bar, Cell
from tests.bench.rounds import Spread


@dataclass(frozen=True)
class Sample:
    """One way in one round."""

    round: int
    packets: int
    ns: int  # or instructions, if the guest's clock counts them
    system_calls: int

    @property
    def ns_per_packet(self) -> float:
        return self.ns / self.packets


@dataclass
class Measured:
    """One load: each way's samples, in the order of the rounds."""

    samples: dict[str, list[Sample]] = field(default_factory=dict)

    def ns_per_packet(self, way: str) -> Spread:
        return Spread.of([sample.ns_per_packet for sample in self.samples[way]])

    def ratio(self, way: str, against: str) -> Spread:
        pairs = zip(self.samples[way], self.samples[against], strict=True)
        return Spread.of([one.ns_per_packet / other.ns_per_packet for one, other in pairs])

    def system_calls_per_packet(self, way: str) -> float:
        return median(sample.system_calls / sample.packets for sample in self.samples[way])

    def meets(self, bar: Bar) -> bool:
        return (
            self.ratio(bar.way, bar.against).median <= bar.ratio
            and self.system_calls_per_packet(bar.way) <= bar.system_calls_per_packet
        )


@dataclass(frozen=True)
class Profile:
    """One way's instructions per packet by kernel function, for receiving or sending alone."""

    cell: Cell
    way: str
    part: str
    instructions_per_packet: float
    shares: Mapping[str, float]  # by kernel function; their sum is 1


JsonLine = Mapping[str, object]


def _number(line: JsonLine, key: str) -> int:
    value = line[key]
    assert isinstance(value, int)
    return value


def _text(line: JsonLine, key: str) -> str:
    value = line[key]
    assert isinstance(value, str)
    return value


def _sample(line: JsonLine) -> Sample:
    return Sample(
        _number(line, "round"), _number(line, "packets"), _number(line, "ns"), _number(line, "system_calls")
    )


def _cell(line: JsonLine) -> Cell:
    size, batch = _number(line, "size_bytes"), _number(line, "batch_packets")
    return Cell(size, batch, bool(line["delivered"]), _scope(line))


def _scope(line: JsonLine) -> str:
    if line["part"] == WHOLE:
        return WHOLE
    return DEVICE if line["way"] in WAYS_OF[DEVICE] else FORWARD


def by_cell(lines: Iterable[JsonLine]) -> dict[Cell, Measured]:
    """The measurements of everything that a forwarder does."""
    found: dict[Cell, Measured] = {}
    for line in lines:
        if line.get("part") not in (FORWARD, WHOLE) or "ns" not in line:
            continue
        found.setdefault(_cell(line), Measured()).samples.setdefault(_text(line, "way"), []).append(
            _sample(line)
        )
    return found


def profiles(lines: Sequence[JsonLine]) -> list[Profile]:
    """The measurements of receiving and sending alone, with their samples."""
    instructions: dict[tuple[Cell, str, str], list[float]] = {}
    samples: dict[tuple[Cell, str, str], dict[str, int]] = {}
    for line in lines:
        if line.get("part") not in PARTS:
            continue
        key = _cell(line), _text(line, "way"), _text(line, "part")
        if "ns" in line:
            instructions.setdefault(key, []).append(_sample(line).ns_per_packet)
        else:
            samples.setdefault(key, {})[_text(line, "function")] = _number(line, "samples")
    return [
        Profile(
            cell,
            way,
            part,
            median(instructions[cell, way, part]),
            {name: count / sum(counts.values()) for name, count in counts.items()},
        )
        for (cell, way, part), counts in samples.items()
    ]

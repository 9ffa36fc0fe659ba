# SPDX-License-Identifier: Apache-2.0
"""What the tester sends: sizes, protocol, flows. Sizes are bytes without the 4 bytes of the FCS.

A mix is spelt out, "60x7,566x4,1514x1": of 12 frames, 7 have 60 bytes. Its frames come in an order that is
shuffled once, by the seed, and repeats.
"""

from __future__ import annotations

import re
from functools import cached_property
from random import Random
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from forwarder.config.model import UnicastMac
from forwarder.errors import UsageError
from forwarder.results.model import Profile
from forwarder.tester.capture import Capture

FCS_BYTES = 4
ETHERNET_BYTES = 14
VLAN_BYTES = 4
STAMP_BYTES = 16  # struct ttf_stamp
MAX_FRAME_BYTES = 9018
MAX_SIZES = 16  # TTF_MAX_SIZES
MAX_ORDER = 4096  # TTF_MAX_ORDER
MAX_FLOWS = 1 << 20
_IP_BYTES = {4: 20, 6: 40}
UDP_BYTES = 8
_MIN_ETHERNET_BYTES = 60
# RFC 6985: a letter for each of these sizes (with FCS), and capitals for any others.
_GENOME = {64: "a", 128: "b", 256: "c", 512: "d", 1024: "e", 1280: "f", 1518: "g", 2112: "h", 9000: "i"}


def parse_sizes(text: str) -> tuple[tuple[int, int], ...]:
    """(frame's bytes, weight) of each size, as they are spelt. Raises ValueError."""
    found = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*([0-9]{1,5})(?:x([0-9]{1,4}))?\s*", part)
        if match is None or match[2] == "0":
            raise ValueError(f'"{part.strip()[:20]}" is no size: 60, or 60x7,566x4,1514x1 for a mix')
        found.append((int(match[1]), int(match[2] or 1)))
    if len({size for size, _ in found}) != len(found):
        raise ValueError("a size is named twice")
    if len(found) > MAX_SIZES:
        raise ValueError(f"{len(found)} sizes: at most {MAX_SIZES}")
    if sum(weight for _, weight in found) > MAX_ORDER:
        raise ValueError(f"the weights add up to more than {MAX_ORDER}")
    return tuple(found)


def _sizes(text: str) -> str:
    parse_sizes(text)
    return text


class Traffic(BaseModel):
    """Frames of one kind, from either end; a valid one can be built by the tester."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    sizes: Annotated[str, AfterValidator(_sizes)] = "60"
    ip: Literal[4, 6] = 4
    vlans: Annotated[tuple[Annotated[int, Field(ge=1, le=4094)], ...], Field(max_length=2, strict=False)] = ()
    flows: Annotated[int, Field(ge=1, le=MAX_FLOWS)] = 1
    flow_order: Literal["incremental", "random"] = "incremental"
    seed: Annotated[int, Field(ge=0, le=(1 << 32) - 1)] = 1
    directions: Literal[1, 2] = 1
    # Destinations, forward and backward: a router's. By default, addresses that no device has.
    dst_macs: Annotated[tuple[UnicastMac, ...], Field(max_length=2, strict=False)] = ()
    pcap: str | None = None  # a capture file, whose frames are sent instead: they are what they are

    @model_validator(mode="after")
    def _a_capture_has_its_own_frames(self) -> Traffic:
        others = sorted(self.model_fields_set - {"pcap", "directions"})
        if self.pcap is None:
            return self
        if others:
            raise ValueError(
                f"pcap: the frames of a capture are what they are: leave out {', '.join(others)}"
            )
        try:
            assert self.capture
        except UsageError as error:
            raise ValueError(str(error)) from None
        return self

    @model_validator(mode="after")
    def _every_direction_has_its_destination(self) -> Traffic:
        if self.dst_macs and len(self.dst_macs) < self.directions:
            raise ValueError(f"dst_macs: {len(self.dst_macs)} for {self.directions} directions")
        return self

    @model_validator(mode="after")
    def _every_size_holds_a_frame(self) -> Traffic:
        smallest = self.min_frame_bytes
        for size, _ in self.mix:
            if not smallest <= size <= MAX_FRAME_BYTES:
                raise ValueError(
                    f"size {size}: frames of IPv{self.ip} with {len(self.vlans)} VLAN tags have "
                    f"{smallest} to {MAX_FRAME_BYTES} bytes (without FCS)"
                )
        return self

    @cached_property
    def capture(self) -> Capture | None:
        """Raises UsageError, unless it was read when this was made."""
        return Capture.read(self.pcap) if self.pcap is not None else None

    @property
    def header_bytes(self) -> int:
        """What is before the stamp."""
        return ETHERNET_BYTES + VLAN_BYTES * len(self.vlans) + _IP_BYTES[self.ip] + UDP_BYTES

    @property
    def min_frame_bytes(self) -> int:
        return max(_MIN_ETHERNET_BYTES + VLAN_BYTES * len(self.vlans), self.header_bytes + STAMP_BYTES)

    @cached_property
    def mix(self) -> tuple[tuple[int, int], ...]:
        """(frame's bytes, weight) of each size."""
        return parse_sizes(self.sizes)

    @cached_property
    def order(self) -> tuple[int, ...]:
        """For each of the frames after which the mix repeats, the index of its size."""
        indices = [index for index, (_, weight) in enumerate(self.mix) for _ in range(weight)]
        if len(self.mix) == 1:
            return (0,)
        Random(self.seed).shuffle(indices)
        return tuple(indices)

    @property
    def max_frame_bytes(self) -> int:
        return self.capture.max_frame_bytes if self.capture else max(size for size, _ in self.mix)

    @property
    def mean_frame_bytes(self) -> float:
        if self.capture:
            return self.capture.mean_frame_bytes
        return sum(size * weight for size, weight in self.mix) / sum(weight for _, weight in self.mix)

    @property
    def genome(self) -> str | None:
        """The order of a mix in the letters of RFC 6985. None for frames of one size."""
        if len(self.mix) == 1:
            return None
        sizes = [size + FCS_BYTES for size, _ in self.mix]
        if all(size in _GENOME for size in sizes):
            return "".join(_GENOME[sizes[index]] for index in self.order)
        letters = [chr(ord("A") + index) for index in range(len(sizes))]
        return "".join(letters[index] for index in self.order)

    @property
    def profile(self) -> Profile:
        made = self.capture is None
        return Profile(
            sizes=self.sizes if made else "pcap",
            mean_frame_bytes=self.mean_frame_bytes,
            mean_frame_bytes_with_fcs=self.mean_frame_bytes + FCS_BYTES,
            genome=self.genome,
            ip=self.ip if made else None,
            vlans=self.vlans,
            flows=self.flows if made else None,
            flow_order=self.flow_order,
            seed=self.seed,
            directions=self.directions,
            dst_macs=self.dst_macs,
            pcap=self.pcap,
        )

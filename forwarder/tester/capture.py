# SPDX-License-Identifier: Apache-2.0
"""The frames of a capture file, as traffic: they are sent in their order, again and again, at a rate of ours.

Where a frame's UDP or TCP payload has room, its first bytes become the tester's stamp, and the checksum is
made right (native/tester/payload.h). Frames without room (ARP, fragments, short ones) are sent as they are,
and counted apart: whether they arrive isn't known.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from forwarder.tester.native import load
from forwarder.tester.pcap import read_pcap

if TYPE_CHECKING:
    from forwarder.tester.native import ttf_replay


@dataclass(frozen=True)
class Capture:
    frames: tuple[bytes, ...]

    @classmethod
    def read(cls, path: str) -> Capture:
        """Raises UsageError."""
        return cls(read_pcap(path))

    @cached_property
    def max_frame_bytes(self) -> int:
        return max(map(len, self.frames))

    @cached_property
    def mean_frame_bytes(self) -> float:
        return sum(map(len, self.frames)) / len(self.frames)

    @property
    def deviation(self) -> str | None:
        """What a result has to say of it. None: every frame has room for a stamp."""
        made = self.native()
        stamped = made.stamped
        load().lib.ttf_replay_free(made)
        bare, all_ = len(self.frames) - stamped, len(self.frames)
        return (
            f"{bare} of the capture's {all_} frames can't be numbered: sent, and in no rate or loss"
            if bare
            else None
        )

    def native(self) -> ttf_replay:
        """For the generator: to be freed by ttf_replay_free(). Raises MemoryError."""
        ffi, lib = load().ffi, load().lib
        lengths = ffi.new("uint32_t[]", [len(frame) for frame in self.frames])
        made = lib.ttf_replay_new(b"".join(self.frames), lengths, len(self.frames))
        if made == ffi.NULL:
            raise MemoryError
        return made

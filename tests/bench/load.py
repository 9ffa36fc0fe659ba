# SPDX-License-Identifier: Apache-2.0
"""Offered load: the generator (generate.c), a process of its own on a CPU of its own."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from tests.bench.lab import Lab
from tests.bench.programs import Programs

GENERATOR_CPU = 0
FORWARDER_CPU = 1


@dataclass(frozen=True)
class Load:
    """`rate_pps` None: as fast as it goes, which in the kernel is more than any forwarder takes."""

    size_bytes: int
    rate_pps: int | None
    burst_packets: int = 64
    in_kernel: bool = False
    nice: int | None = None

    @property
    def name(self) -> str:
        size = f"{self.size_bytes + 4} B" if self.size_bytes == 60 else f"{self.size_bytes} B"
        if self.rate_pps is None:
            return f"{size}, {'saturated' if self.in_kernel else 'flat out'}"
        how = "in bursts" if self.in_kernel else "one by one"
        return f"{size}, {self.rate_pps // 1000} kpps {how}"


class Generator:
    """Sends into the kernel's side of one device."""

    def __init__(self, programs: Programs, lab: Lab, device: str) -> None:
        self._programs = programs
        self._base = ["-n", lab.netns, "-d", device, "-c", GENERATOR_CPU]

    @contextmanager
    def offering(self, load: Load, flows: Sequence[int] = (0,)) -> Iterator[None]:
        how = ["-r", load.rate_pps or 0, "-b", load.burst_packets]
        if load.in_kernel:
            how.append("-k")
        if load.nice is not None:
            how += ["-p", load.nice]
        flow_list = ",".join(map(str, flows))
        arguments = [*self._base, "-s", load.size_bytes, "-f", flow_list, *how]
        with self._programs.running("generate", arguments):
            yield

    @contextmanager
    def probing(self, rate_pps: int) -> Iterator[subprocess.Popen[bytes]]:
        """Wait for the device, and from the moment that it is up send a packet at a time."""
        arguments = [*self._base, "-w", "-b", 1, "-r", rate_pps]
        with subprocess.Popen(self._programs.command("generate", arguments), stdout=subprocess.DEVNULL) as probe:
            try:
                yield probe
            finally:
                probe.kill()

    def send(self, flow: int, packets: int) -> None:
        """A few packets of one flow."""
        self._programs.output("generate", [*self._base, "-f", flow, "-b", packets, "-t", packets])

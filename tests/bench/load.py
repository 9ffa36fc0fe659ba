# SPDX-License-Identifier: Apache-2.0
"""Offered load: runs the generator (generate.c) as a separate process.

saturated   more than any forwarder can forward, generated inside the kernel
paced       a rate that every forwarder can forward, sent from an AF_PACKET socket
queued      the forwarder's queue is filled while it is stopped; the time to empty it is measured, and
            nothing else runs
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from tests.bench.lab import Lab
from tests.bench.programs import Programs

GENERATOR_CPU = 0
FORWARDER_CPU = 1
_PROBE_PPS = 1000


@dataclass(frozen=True)
class Saturated:
    """As many frames as the in-kernel generator can make."""

    size_bytes: int

    @property
    def name(self) -> str:
        return f"{size_name(self.size_bytes)}, saturated"


@dataclass(frozen=True)
class Paced:
    """A fixed rate, in bursts of 64."""

    size_bytes: int
    rate_packets_per_s: int

    @property
    def name(self) -> str:
        return f"{size_name(self.size_bytes)}, {self.rate_packets_per_s // 1000} kpps"


@dataclass(frozen=True)
class Queued:
    """Packets that wait in the queue before the forwarder continues. It must sleep when idle."""

    size_bytes: int
    packets: int
    in_kernel: bool

    @property
    def name(self) -> str:
        return f"{size_name(self.size_bytes)}, queued"


Load = Saturated | Paced | Queued


@dataclass(frozen=True)
class Aim:
    """A generator's CPU, which decides the tap queue of its frames, and its flow."""

    cpu: int = GENERATOR_CPU
    flow: int = 0


def size_name(size_bytes: int) -> str:
    """By convention, only the name of the smallest frames counts the frame check sequence."""
    return "64 B" if size_bytes == 60 else f"{size_bytes} B"


class Generator:
    """Sends into the kernel's side of one device."""

    def __init__(self, programs: Programs, lab: Lab, device: str) -> None:
        self._programs = programs
        self._base = ["-n", lab.netns, "-d", device]

    def _arguments(self, aim: Aim, *others: object) -> list[object]:
        return [*self._base, "-c", aim.cpu, "-f", aim.flow, *others]

    @contextmanager
    def offering(self, load: Saturated | Paced) -> Iterator[None]:
        how = ["-k"] if isinstance(load, Saturated) else ["-r", load.rate_packets_per_s]
        with self._programs.running("generate", self._arguments(Aim(), "-s", load.size_bytes, *how)):
            yield

    def fill(self, load: Queued, aims: Sequence[Aim]) -> None:
        """All packets of the load, distributed evenly."""
        for aim in aims:
            how = ["-t", load.packets // len(aims), "-s", load.size_bytes]
            if load.in_kernel:
                how.append("-k")
            self._programs.output("generate", self._arguments(aim, *how))

    def send(self, flow: int, packets: int) -> None:
        """A few packets of one flow."""
        self._programs.output("generate", self._arguments(Aim(flow=flow), "-b", packets, "-t", packets))

    @contextmanager
    def spreading(self, flows: int, size_bytes: int, rate_packets_per_s: int) -> Iterator[None]:
        """Send many flows, so every queue gets some."""
        which = ",".join(map(str, range(flows)))
        arguments = [*self._base, "-c", GENERATOR_CPU, "-f", which, "-s", size_bytes]
        with self._programs.running("generate", [*arguments, "-r", rate_packets_per_s]):
            yield

    @contextmanager
    def probing(self) -> Iterator[subprocess.Popen[bytes]]:
        """Wait until the device is up, then send packets one by one."""
        command = self._programs.command("generate", self._arguments(Aim(), "-w", "-b", 1, "-r", _PROBE_PPS))
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as probe:
            try:
                yield probe
            finally:
                probe.kill()

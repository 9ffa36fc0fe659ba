# SPDX-License-Identifier: Apache-2.0
"""Builds the module and the forwarding program, and runs the program in a guest.

Counted: one CPU, and a clock that advances a nanosecond per instruction. Timed: two CPUs, one fills the queue
and the other empties it, by the wall clock of an emulated machine.

The emulated CPU has ERMS, so the kernel copies by `rep movsb`, and each byte counts as an instruction. A real
CPU copies about 32 bytes in the time of four instructions. Without ERMS, the kernel copies by words of eight
bytes, and the count is closer to the real cost.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from tests.bench.kmod.plan import BASELINE, PARTS, REFERENCE, SEGMENTS, SEPARABLE, WHOLE, Cell
from tests.bench.kmod.results import JsonLine
from tests.bench.programs import ProgramError
from tests.bench.tcp import Stream
from tests.kmod import kernels, vm

_HERE = Path(__file__).resolve().parent
_NATIVE = kernels.ROOT / "native"
_FLAGS = ("-std=gnu11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-static", f"-I{kernels.MODULE / 'uapi'}")
_BY_WORDS = "clearcpuid=erms,fsrm"
_MODULES = "tun veth bridge sch_ingress cls_matchall act_mirred"
_PACKETS = 1024  # packets in the queue: a multiple of all batches
_SEGMENTS = 256
_TOLERANCE = 0.01
_PROFILE_ROUNDS = 12
_TIMEOUT_S = 2400.0
_STREAM = TypeAdapter(Stream)


@dataclass(frozen=True)
class Guest:
    """A kernel, the module built for it, and the program."""

    kernel: kernels.Kernel
    module: Path
    program: Path

    @classmethod
    def built(cls, kernel: kernels.Kernel, into: Path) -> Guest:
        """Build all in the folder `into`. Raises ProgramError."""
        program = into / "forward"
        sources = sorted(map(str, [*_HERE.glob("*.c"), *_NATIVE.glob("*.c")]))
        command = ["gcc", *_FLAGS, "-o", str(program), *sources, "-luring", "-lseccomp"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise ProgramError(f"gcc: {done.stderr.strip()}")
        return cls(kernel, kernels.build(kernel, into), program)

    def counted(self, cells: Iterable[Cell], rounds: int) -> list[JsonLine]:
        """Count instructions. Raises ProgramError."""
        return self._run([self._forward(cell, rounds) for cell in cells], counted=True)

    def counted_by_words(self, cells: Iterable[Cell], rounds: int) -> list[JsonLine]:
        """Count instructions of a kernel that copies by words. Raises ProgramError."""
        commands = [f"! grep -qw erms /proc/cpuinfo && {self._forward(cell, rounds)}" for cell in cells]
        return self._run(commands, counted=True, append=_BY_WORDS)

    def timed(self, cells: Iterable[Cell], rounds: int) -> list[JsonLine]:
        """Measure wall-clock time on two CPUs. Raises ProgramError."""
        return self._run([f"{self._forward(cell, rounds)} -f 0 -c 1" for cell in cells], counted=False)

    def tcp(self, rounds: int, *, by_words: bool) -> list[Stream]:
        """Measure TCP through ttfwd by CPU clocks of one nanosecond per instruction. Raises ProgramError."""
        # The program runs first: it proves that the clock counts instructions.
        ttfwd = f"{shlex.quote(sys.executable)} -m tests.bench.kmod.ttfwd_tcp {rounds}"
        commands = [f"{self._forward(SEGMENTS, 1, BASELINE)} && {ttfwd}"]
        lines = self._run(commands, counted=True, append=_BY_WORDS if by_words else "")
        return [_STREAM.validate_python(line) for line in lines if "received_bytes" in line]

    def profiled(self, rounds: int) -> list[JsonLine]:
        """Count instructions of receiving and of sending, by kernel function. Raises ProgramError.

        GSO frames are profiled with copies by words: byte copies would hide everything else.
        """
        found = self._run(self._profile(REFERENCE, rounds), counted=True)
        return found + self._run(self._profile(SEGMENTS, rounds), counted=True, append=_BY_WORDS)

    def _profile(self, cell: Cell, rounds: int) -> list[str]:
        return [
            *(f"{self._forward(cell, rounds, ','.join(SEPARABLE))} -x {part}" for part in PARTS),
            *(
                f"{self._forward(cell, _PROFILE_ROUNDS, way)} -x {part} -e"
                for part in PARTS
                for way in SEPARABLE
            ),
        ]

    def _forward(self, cell: Cell, rounds: int, ways: str = "") -> str:
        fate = " -d" if cell.delivered else ""
        part = f" -x {WHOLE}" if cell.scope == WHOLE else ""
        segments = " -o" if cell.segments else ""
        packets = _SEGMENTS if cell.segments else _PACKETS
        ways = ways or ",".join(cell.ways)
        return (
            f"{self.program} -w {ways} -s {cell.size_bytes} -b {cell.batch_packets} -p {packets} "
            f"-r {rounds}{fate}{segments}{part}"
        )

    def _run(self, commands: Sequence[str], *, counted: bool, append: str = "") -> list[JsonLine]:
        script = " && ".join([f"modprobe -a {_MODULES}", f"insmod {self.module}", *commands])
        cpus, clock = (1, vm.Clock.INSTRUCTIONS) if counted else (2, vm.Clock.HOST)
        try:
            result = vm.run(
                self.kernel, script, cpus=cpus, clock=clock, timeout=_TIMEOUT_S, append=append
            ).check()
        except AssertionError as error:
            raise ProgramError(f"{self.kernel.release}: {error}") from None
        lines = [json.loads(line) for line in result.output.splitlines() if line.startswith("{")]
        clocks = [line["instruction_ns"] for line in lines if "instruction_ns" in line]
        if len(clocks) != len(commands):
            raise ProgramError(
                f"{self.kernel.release}: {len(clocks)} of {len(commands)} measurements\n{result.told}"
            )
        if counted and any(abs(clock - 1) > _TOLERANCE for clock in clocks):
            raise ProgramError(f"the guest's clock doesn't count instructions: {clocks} ns for each")
        return lines

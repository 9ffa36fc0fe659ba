# SPDX-License-Identifier: Apache-2.0
"""One run of iperf3 between two namespaces, and its report."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.bench.commands import run
from tests.bench.programs import ProgramError
from tests.support.commands import in_namespace

_READY = "listening"
_PATIENCE_S = 20.0


@dataclass(frozen=True)
class Received:
    """The server's received bytes, and the CPU time of both ends."""

    bytes: int
    seconds: float
    iperf3_cpu_ns: int

    @property
    def gbit_per_s(self) -> float:
        return self.bytes * 8 / self.seconds / 1e9


@contextmanager
def serving(netns: str, prefix: Sequence[str] = ()) -> Iterator[None]:
    """A listening server. `prefix` goes before the command. Raises ProgramError."""
    command = in_namespace(netns, *prefix, "iperf3", "--server", "--forceflush")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            assert process.stdout is not None
            while _READY not in (line := process.stdout.readline()):
                if not line:
                    raise ProgramError("iperf3 does not listen")
            yield
        finally:
            process.kill()


def sent(netns: str, address: str, seconds: int, streams: int = 1, prefix: Sequence[str] = ()) -> Received:
    """Send as much as possible for that time. Raises ProgramError."""
    command = in_namespace(
        netns,
        *(*prefix, "iperf3", "--client", address, "--json", "--connect-timeout", "5000"),
        *("--time", str(seconds), "--parallel", str(streams)),
    )
    return parsed(run(command, seconds + _PATIENCE_S))


def parsed(told: str) -> Received:
    """Parse the output of `iperf3 --json`. Raises ProgramError with its error, or if no byte arrived."""
    report: dict[str, Any] = json.loads(told)
    if "error" in report:
        raise ProgramError(f"iperf3: {report['error']}")
    received, load = report["end"]["sum_received"], report["end"]["cpu_utilization_percent"]
    if not received["bytes"]:
        raise ProgramError("iperf3: no byte was received")
    cpu_s = (load["host_total"] + load["remote_total"]) / 100 * received["seconds"]
    return Received(received["bytes"], received["seconds"], round(cpu_s * 1e9))

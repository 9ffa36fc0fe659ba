# SPDX-License-Identifier: Apache-2.0
"""What an unmodified application gets: one TCP stream of iperf3 from tap to tap, with offload and without.

    netns source [a]==( ttfwd )==[b] netns sink
    iperf3 -c                        iperf3 -s

Both instances live side by side and sleep when idle; they are measured in turn. CPU time is that of ttfwd's
processes: a worker's includes the receiving stack, which runs in its write().
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from tests.bench import cpu_time, iperf3
from tests.bench.forwarders import Forwarder, started, wait_until_running
from tests.bench.load import FORWARDER_CPU
from tests.bench.rounds import Spread

_STREAM_S = 2
VARIANTS = {"offload": True, "no offload": False}


@dataclass(frozen=True)
class TcpResult:
    variant: str
    gbit_per_s: Spread
    cpu_s_per_gb: Spread
    gbit_per_s_ratio: Spread  # over the same round's last variant
    bytes_per_frame: Spread


@dataclass(frozen=True)
class _Way:
    """A running instance, and where its ends are."""

    forwarder: Forwarder
    source: str
    address: str

    def stream(self) -> tuple[float, float, float]:
        """Gbit/s, CPU seconds per GB, and bytes of a frame. Raises ProgramError."""
        before_ns, before = cpu_time.total_ns(self.forwarder.pids), self._received()
        received = iperf3.sent(self.source, self.address, _STREAM_S)
        cpu_ns = cpu_time.total_ns(self.forwarder.pids) - before_ns
        after = self._received()
        frame_bytes = (after[1] - before[1]) / (after[0] - before[0])
        return received.gbit_per_s, cpu_ns / received.bytes, frame_bytes

    def _received(self) -> tuple[int, int]:
        """Packets and bytes that the instance received from the source."""
        port = self.forwarder.snapshot().ports[0].counters
        return port.rx_packets, port.rx_bytes


def measure(rounds: int, progress: Callable[[str], None]) -> Sequence[TcpResult]:
    found: dict[str, list[tuple[float, float, float]]] = {variant: [] for variant in VARIANTS}
    with ExitStack() as stack:
        ways = {
            variant: stack.enter_context(_way(number, offload))
            for number, (variant, offload) in enumerate(VARIANTS.items())
        }
        for number in range(rounds):
            progress(f"tcp: round {number + 1} of {rounds}")
            for variant, way in ways.items():
                found[variant].append(way.stream())
    *_, last = found.values()
    return [
        TcpResult(
            variant,
            Spread.of([one[0] for one in streams]),
            Spread.of([one[1] for one in streams]),
            Spread.of([one[0] / base[0] for one, base in zip(streams, last, strict=True)]),
            Spread.of([one[2] for one in streams]),
        )
        for variant, streams in found.items()
    ]


@contextmanager
def _way(number: int, offload: bool) -> Iterator[_Way]:
    name = f"ttfwdtcp{os.getpid()}-{number}"
    ends = [(f"{name}-{end}", f"10.97.{number}.{end}") for end in (1, 2)]
    config = f'name = "{name}"\nmode = "xconnect"\ncpus = "{FORWARDER_CPU}"\n'
    for end, (netns, address) in enumerate(ends):
        peer = f'peer = "b{number}"\n' if end == 0 else ""
        config += (
            f'[[port]]\nname = "{"ab"[end]}{number}"\ndriver = "tap"\noffload = {str(offload).lower()}\n'
            f'netns = "{netns}"\naddress = ["{address}/24"]\n{peer}'
        )
    (source, _), (sink, address) = ends
    with started(config) as process:
        snapshot = wait_until_running(name, process)
        forwarder = Forwarder(tuple(worker.pid for worker in snapshot.workers), process.pid, name)
        with iperf3.serving(sink):
            yield _Way(forwarder, source, address)

# SPDX-License-Identifier: Apache-2.0
"""Performance of an unmodified application: one TCP stream of iperf3 between taps, by driver and offload.

    netns source [a]==( ttfwd )==[b] netns sink
    iperf3 -c                        iperf3 -s

All instances run side by side and sleep when idle. They are measured in turn. CPU time is of ttfwd's
processes and of iperf3. A worker's includes the receiving stack, which runs in its write().
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from tests.bench import cpu_time, iperf3
from tests.bench.forwarders import Forwarder, started, wait_until_running
from tests.bench.rounds import Spread

_STREAM_S = 2


@dataclass(frozen=True)
class Variant:
    """One instance. All other keys have their defaults."""

    name: str
    driver: str
    offload: bool = True
    io: str = ""  # the driver's default


OFFLOAD = Variant("offload", "tap")
NO_OFFLOAD = Variant("no offload", "tap", offload=False)


@dataclass(frozen=True)
class Stream:
    """One variant in one round: received payload and its cost."""

    variant: str
    round: int
    received_bytes: int
    wall_s: float
    forwarder_ns: int
    ends_ns: int  # iperf3's
    frames: int  # that ttfwd received from the source, and their bytes
    frames_bytes: int

    @property
    def gbit_per_s(self) -> float:
        return self.received_bytes * 8 / self.wall_s / 1e9

    @property
    def forwarder_s_per_gb(self) -> float:
        """CPU time per 10^9 bytes."""
        return self.forwarder_ns / self.received_bytes

    @property
    def all_s_per_gb(self) -> float:
        return (self.forwarder_ns + self.ends_ns) / self.received_bytes

    @property
    def bytes_per_frame(self) -> float:
        return self.frames_bytes / self.frames


def measure(
    variants: Sequence[Variant], rounds: int, cpu: int, progress: Callable[[str], None]
) -> list[Stream]:
    """Measure each variant in each round, forwarding on `cpu`. Raises ProgramError."""
    found = []
    with ExitStack() as stack:
        ways = [stack.enter_context(_way(number, variant, cpu)) for number, variant in enumerate(variants)]
        for number in range(rounds):
            progress(f"tcp: round {number + 1} of {rounds}")
            found += [way.stream(number) for way in ways]
    return found


def spread(streams: Sequence[Stream], variant: str, figure: Callable[[Stream], float]) -> Spread:
    return Spread.of([figure(one) for one in streams if one.variant == variant])


def ratio(
    streams: Sequence[Stream], variant: str, baseline: str, figure: Callable[[Stream], float]
) -> Spread:
    """The ratios of figures within a round."""
    of_baseline = {one.round: figure(one) for one in streams if one.variant == baseline}
    return spread(streams, variant, lambda one: figure(one) / of_baseline[one.round])


@dataclass(frozen=True)
class _Way:
    """A running instance, and the namespaces of its ends."""

    variant: str
    forwarder: Forwarder
    source: str
    address: str

    def stream(self, number: int) -> Stream:
        """Raises ProgramError."""
        before_ns, before = cpu_time.total_ns(self.forwarder.pids), self._received()
        received = iperf3.sent(self.source, self.address, _STREAM_S)
        forwarder_ns = cpu_time.total_ns(self.forwarder.pids) - before_ns
        after = self._received()
        return Stream(
            self.variant,
            number,
            received.bytes,
            received.seconds,
            forwarder_ns,
            received.iperf3_cpu_ns,
            after[0] - before[0],
            after[1] - before[1],
        )

    def _received(self) -> tuple[int, int]:
        """Packets and bytes that the instance received from the source."""
        port = self.forwarder.snapshot().ports[0].counters
        return port.rx_packets, port.rx_bytes


@contextmanager
def _way(number: int, variant: Variant, cpu: int) -> Iterator[_Way]:
    name = f"ttfwdtcp{os.getpid()}-{number}"
    ends = [(f"{name}-{end}", f"10.97.{number}.{end}") for end in (1, 2)]
    # A worker that is stopped for a while must not be taken for a hung one.
    config = f'name = "{name}"\nmode = "xconnect"\ncpus = "{cpu}"\nheartbeat_timeout_ms = 60000\n'
    for end, (netns, address) in enumerate(ends):
        peer = f'peer = "b{number}"\n' if end == 0 else ""
        io = f'io = "{variant.io}"\n' if variant.io else ""
        config += (
            f'[[port]]\nname = "{"ab"[end]}{number}"\ndriver = "{variant.driver}"\n{io}'
            f"offload = {str(variant.offload).lower()}\n"
            f'netns = "{netns}"\naddress = ["{address}/24"]\n{peer}'
        )
    (source, _), (sink, address) = ends
    with started(config) as process:
        snapshot = wait_until_running(name, process)
        forwarder = Forwarder(tuple(worker.pid for worker in snapshot.workers), process.pid, name)
        with iperf3.serving(sink):
            yield _Way(variant.name, forwarder, source, address)

# SPDX-License-Identifier: Apache-2.0
"""Performance of an unmodified application: one TCP stream of iperf3 between taps, by driver and offload.

    netns source [a]==( ttfwd )==[b] netns sink
    iperf3 -c                        iperf3 -s

All instances run side by side and sleep when idle. They are measured in turn. CPU time is of ttfwd's
processes, of iperf3, and of the whole machine. A worker's includes the receiving stack, which runs in its
write().
A Linux bridge in ttfwd's place has no process: only the machine's time says what it costs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Protocol

from tests.bench import cpu_time, iperf3, ping
from tests.bench.commands import run
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
    policy: int | None = None  # of scheduling the workers, instead of their own


@dataclass(frozen=True)
class Bridge:
    """A Linux bridge between veths, instead of an instance."""

    name: str


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
    machine_ns: int
    frames: int  # that ttfwd received from the source, and their bytes; 0 of a bridge
    frames_bytes: int
    round_trip_us: float | None  # of lone packets, if asked for

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
    def machine_s_per_gb(self) -> float:
        return self.machine_ns / self.received_bytes

    @property
    def bytes_per_frame(self) -> float:
        return self.frames_bytes / self.frames


def measure(
    variants: Sequence[Variant | Bridge],
    rounds: int,
    cpu: int,
    progress: Callable[[str], None],
    pings: int = 0,
) -> list[Stream]:
    """Measure each variant in each round, forwarding on `cpu`, after so many pings. Raises ProgramError."""
    found = []
    with ExitStack() as stack:
        ways = [stack.enter_context(_way(number, variant, cpu)) for number, variant in enumerate(variants)]
        for number in range(rounds):
            progress(f"tcp: round {number + 1} of {rounds}")
            found += [way.stream(number, pings) for way in ways]
    return found


def spread(streams: Sequence[Stream], variant: str, figure: Callable[[Stream], float]) -> Spread:
    return Spread.of([figure(one) for one in streams if one.variant == variant])


def ratio(
    streams: Sequence[Stream], variant: str, baseline: str, figure: Callable[[Stream], float]
) -> Spread:
    """The ratios of figures within a round."""
    of_baseline = {one.round: figure(one) for one in streams if one.variant == baseline}
    return spread(streams, variant, lambda one: figure(one) / of_baseline[one.round])


class _Costs(Protocol):
    """What is between the ends."""

    def forwarder_ns(self) -> int: ...
    def received(self) -> tuple[int, int]:
        """Packets and bytes from the source."""


@dataclass(frozen=True)
class _Instance:
    forwarder: Forwarder

    def forwarder_ns(self) -> int:
        return cpu_time.total_ns(self.forwarder.pids)

    def received(self) -> tuple[int, int]:
        port = self.forwarder.snapshot().ports[0].counters
        return port.rx_packets, port.rx_bytes


class _NoProcess:
    def forwarder_ns(self) -> int:
        return 0

    def received(self) -> tuple[int, int]:
        return 0, 0


@dataclass(frozen=True)
class _Way:
    """A variant that runs, and the namespaces of its ends."""

    variant: str
    costs: _Costs
    source: str
    address: str

    def stream(self, number: int, pings: int) -> Stream:
        """Raises ProgramError."""
        round_trip_us = ping.round_trip_us(self.source, self.address, pings) if pings else None
        before_ns, before = self.costs.forwarder_ns(), self.costs.received()
        machine_before_ns = cpu_time.machine_ns()
        received = iperf3.sent(self.source, self.address, _STREAM_S)
        machine_ns = cpu_time.machine_ns() - machine_before_ns
        forwarder_ns = self.costs.forwarder_ns() - before_ns
        after = self.costs.received()
        return Stream(
            self.variant,
            number,
            received.bytes,
            received.seconds,
            forwarder_ns,
            received.iperf3_cpu_ns,
            machine_ns,
            after[0] - before[0],
            after[1] - before[1],
            round_trip_us,
        )


@dataclass(frozen=True)
class _End:
    netns: str
    address: str


@contextmanager
def _way(number: int, variant: Variant | Bridge, cpu: int) -> Iterator[_Way]:
    name = f"ttfwdtcp{os.getpid()}-{number}"
    source, sink = (_End(f"{name}-{end}", f"10.97.{number}.{end}") for end in (1, 2))
    between = (
        _bridge(name, source, sink)
        if isinstance(variant, Bridge)
        else _instance(name, number, variant, cpu, source, sink)
    )
    with between as costs, iperf3.serving(sink.netns):
        yield _Way(variant.name, costs, source.netns, sink.address)


@contextmanager
def _instance(
    name: str, number: int, variant: Variant, cpu: int, source: _End, sink: _End
) -> Iterator[_Costs]:
    # A worker that is stopped for a while must not be taken for a hung one.
    config = f'name = "{name}"\nmode = "xconnect"\ncpus = "{cpu}"\nheartbeat_timeout_ms = 60000\n'
    for end, (letter, more) in ((source, ("a", f'peer = "b{number}"\n')), (sink, ("b", ""))):
        io = f'io = "{variant.io}"\n' if variant.io else ""
        config += (
            f'[[port]]\nname = "{letter}{number}"\ndriver = "{variant.driver}"\n{io}'
            f"offload = {str(variant.offload).lower()}\n"
            f'netns = "{end.netns}"\naddress = ["{end.address}/24"]\n{more}'
        )
    with started(config) as process:
        snapshot = wait_until_running(name, process)
        forwarder = Forwarder(tuple(worker.pid for worker in snapshot.workers), process.pid, name)
        if variant.policy is not None:
            for worker in forwarder.worker_pids:
                os.sched_setscheduler(worker, variant.policy, os.sched_param(0))
        yield _Instance(forwarder)


@contextmanager
def _bridge(name: str, *ends: _End) -> Iterator[_Costs]:
    with ExitStack() as stack:
        for netns in (name, *(end.netns for end in ends)):
            run(["ip", "netns", "add", netns])
            stack.callback(run, ["ip", "netns", "delete", netns])
        _ip(name, "link add bridge0 up type bridge")
        for port, end in enumerate(ends):
            _ip(name, f"link add port{port} up type veth peer name end netns {end.netns}")
            _ip(name, f"link set port{port} master bridge0")
            _ip(end.netns, f"address add {end.address}/24 dev end")
            _ip(end.netns, "link set end up")
        yield _NoProcess()


def _ip(netns: str, words: str) -> None:
    run(["ip", "-n", netns, *words.split()])

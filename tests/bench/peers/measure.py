# SPDX-License-Identifier: Apache-2.0
"""Measures the peers in turn, round by round: each is started, measured under all loads, and stopped.

So the figures of a round are only minutes apart, only the measured peer runs, and a forwarder gets a new
memory placement each round. The order rotates from round to round.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pyroute2.netlink.exceptions import NetlinkError

from forwarder.errors import TtfwdError
from tests.bench import cpu_time, iperf3
from tests.bench.load import FORWARDER_CPU, GENERATOR_CPU, Generator, Paced, Saturated
from tests.bench.peers.instrument import Goal, Instrument
from tests.bench.peers.peer import Peer, Running
from tests.bench.peers.results import (
    FCS_BYTES,
    SIZES_BYTES,
    STREAMS,
    PeerResult,
    RateSample,
    TcpSample,
)
from tests.bench.peers.topology import SINK_ADDRESS, SOURCE, Topology
from tests.bench.programs import ProgramError, Programs

PACED_PACKETS_PER_S = 200_000
PACED_BYTES = 64
_SETTLE_S = 0.1
_LOOK_S = 0.005
_PATIENCE_S = 5.0
_FAILURES = (ProgramError, TtfwdError, NetlinkError, OSError, subprocess.SubprocessError, ValueError)


@dataclass(frozen=True)
class Plan:
    """How often and for how long."""

    rounds: int
    window_s: float
    tcp_s: int
    searches: int = 0  # rounds in which the instrument measures, too: the first ones
    goal: Goal = "quick"
    latency_s: float = 5.0  # at each load
    allow_noise: bool = False


def measure(
    peers: Sequence[Peer],
    name: str,
    programs: Programs,
    plan: Plan,
    progress: Callable[[str], None],
    folder: Path,
) -> list[PeerResult]:
    """`name` begins the names of the namespaces, `folder` gets the instrument's results.

    A failed peer keeps its samples so far and its error.
    """
    instrument = Instrument(plan.goal, plan.latency_s, plan.allow_noise, folder)
    results = {
        peer.key: PeerResult(peer.key, peer.title, peer.ports, peer.polls, peer.bills_senders)
        for peer in peers
    }
    for number in range(plan.rounds):
        turn = number % len(peers)
        for peer in (*peers[turn:], *peers[:turn]):
            result = results[peer.key]
            if result.error is not None:
                continue
            progress(f"round {number + 1} of {plan.rounds}: {peer.title}")
            try:
                with Topology.made(name) as topology:
                    there = _Round(peer, topology, programs, plan, result, progress)
                    there.measure(instrument if number < plan.searches else None, number + 1)
            except _FAILURES as error:
                result.error = str(error).strip() or type(error).__name__
                progress(f"{peer.title}: {result.error}")
    return list(results.values())


@dataclass(frozen=True)
class _Round:
    """Measure one peer, from its start to its end."""

    peer: Peer
    topology: Topology
    programs: Programs
    plan: Plan
    result: PeerResult
    progress: Callable[[str], None]

    def measure(self, instrument: Instrument | None, number: int) -> None:
        """`instrument`: None in a round without it."""
        if self.peer.ports == "veth":
            self.topology.make_veths()
        with self.peer.run(self.topology) as running:
            # Softirq work of this CPU that kernel threads finish counts for the forwarder, too.
            own = (*running.pids, *running.kernel_threads, *cpu_time.softirq_threads([FORWARDER_CPU]))
            for size in SIZES_BYTES:
                with self._offering(Saturated(size - FCS_BYTES)):
                    self.result.saturated.setdefault(size, []).append(self._window(own))
                    if size == SIZES_BYTES[0] and running.pids:
                        self.result.packets_per_syscall.append(self._packets_per_syscall(running))
            if not self.peer.bills_senders:
                with self._offering(Paced(PACED_BYTES - FCS_BYTES, PACED_PACKETS_PER_S)):
                    self.result.paced.append(self._window(own))
            if instrument is not None:
                self._by_instrument(instrument, running, number)
            if self.peer.ports == "veth" and not self.peer.carries_segments:
                self.topology.complete_frames_only()
            self.topology.give_addresses()
            for streams in STREAMS:
                self.result.tcp.setdefault(streams, []).append(self._tcp(streams, own))

    def _by_instrument(self, instrument: Instrument, running: Running, number: int) -> None:
        """What the instrument can't measure has its CPU time measured all the same."""
        self.progress(f"{self.peer.title}: goal {self.plan.goal}, and latency")
        try:
            found = instrument.measure(self.topology, running, f"{self.peer.key}-{number}")
        except (ProgramError, TtfwdError) as error:
            self.result.unmeasured.append(str(error))
            self.progress(f"{self.peer.title}: {error}")
        else:
            self.result.measured.append(found)

    @contextmanager
    def _offering(self, load: Saturated | Paced) -> Iterator[None]:
        """The load. The block begins when packets arrive. Raises ProgramError if none do."""
        before = self.topology.delivered_packets()
        deadline = time.monotonic() + _PATIENCE_S
        with Generator(self.programs, self.topology.source, SOURCE).offering(load):
            while self.topology.delivered_packets() == before:
                if time.monotonic() > deadline:
                    raise ProgramError(f"{load.name}: nothing was delivered within {_PATIENCE_S:.0f} s")
                time.sleep(_LOOK_S)
            time.sleep(_SETTLE_S)
            yield

    def _window(self, pids: Sequence[int]) -> RateSample:
        began = self._moment(pids)
        time.sleep(self.plan.window_s)
        ended = self._moment(pids)
        cpu_ns, delivered, wall_ns, offered = (end - begin for begin, end in zip(began, ended, strict=True))
        if not delivered:
            raise ProgramError("it stopped delivering")
        return RateSample(cpu_ns, delivered, wall_ns, offered)

    def _moment(self, pids: Sequence[int]) -> tuple[int, int, int, int]:
        return (
            cpu_time.total_ns(pids),
            self.topology.delivered_packets(),
            time.monotonic_ns(),
            self.topology.offered_packets(),
        )

    def _packets_per_syscall(self, running: Running) -> float:
        """Measured separately, as counting takes time too. Packets are counted over all of that time."""
        milliseconds = max(1, round(self.plan.window_s * 1000))
        before, began = self.topology.delivered_packets(), time.monotonic()
        calls = int(self.programs.output("syscalls", ["-m", milliseconds, *running.pids]))
        packets_per_s = (self.topology.delivered_packets() - before) / (time.monotonic() - began)
        if not calls:
            raise ProgramError("no system call was seen, though packets were delivered")
        return packets_per_s * milliseconds / 1000 / calls

    def _tcp(self, streams: int, pids: Sequence[int]) -> TcpSample:
        """Both ends of iperf3 share the generator's CPU, so the forwarder has its CPU for itself."""
        pinned = ("taskset", "--cpu-list", str(GENERATOR_CPU))
        with iperf3.serving(self.topology.sink.netns, pinned):
            softirqs = cpu_time.softirq_threads([GENERATOR_CPU])
            before, softirqs_before = cpu_time.total_ns(pids), cpu_time.total_ns(softirqs)
            received = iperf3.sent(self.topology.source.netns, SINK_ADDRESS, self.plan.tcp_s, streams, pinned)
            spent, softirqs_spent = cpu_time.total_ns(pids), cpu_time.total_ns(softirqs)
        ends_ns = received.iperf3_cpu_ns + softirqs_spent - softirqs_before
        return TcpSample(received.bytes, received.seconds, spent - before, ends_ns)

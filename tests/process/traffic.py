# SPDX-License-Identifier: Apache-2.0
"""Traffic for the tests of this folder: Source and Sink, each a context manager around a process.

    with Sink("right", "t1") as sink, Source("left", "t0", rate=5000) as source:
        ...
    source.result.accepted_packets, sink.received.of(stream=0)

What each process does and guarantees: traffic_process.py.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from array import array
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support.commands import COMMAND_TIMEOUT_S, in_namespace
from tests.support.frames import by_flow

_ROOT = Path(__file__).resolve().parents[2]
_NUMBER_MASK = (1 << 48) - 1


@dataclass(frozen=True)
class Sent:
    """A source's result. `accepted` went into the device's queue; `refused` counts the rest by error."""

    offered_packets: int
    accepted_packets: int
    accepted_of: tuple[int, ...]  # by flow
    refused_packets: Mapping[str, int]  # by errno's name
    seconds: float

    @property
    def full_packets(self) -> int:
        """Refused because the device's queue was full: the device counts these as tx_dropped."""
        return self.refused_packets.get("ENOBUFS", 0)


@dataclass(frozen=True)
class Arrival:
    flow: int
    number: int
    sent_ns: int
    received_ns: int


@dataclass(frozen=True)
class Received:
    """A sink's packets, in order of arrival. Times are CLOCK_MONOTONIC."""

    packets: int
    missed_packets: int  # by the sink itself, as its buffer was full
    streams: array[int]
    keys: array[int]
    sent_ns: array[int]
    received_ns: array[int]

    def of(self, stream: int = 0) -> list[Arrival]:
        return [
            Arrival(key >> 48, key & _NUMBER_MASK, sent, got)
            for each, key, sent, got in zip(
                self.streams, self.keys, self.sent_ns, self.received_ns, strict=True
            )
            if each == stream
        ]


def assert_unique(arrivals: list[Arrival]) -> None:
    """Assert that no packet was delivered twice."""
    twice = [key for key, seen in Counter((a.flow, a.number) for a in arrivals).items() if seen > 1]
    assert not twice, f"{len(twice)} packets were delivered more than once: {sorted(twice)[:5]}"


def assert_in_order(arrivals: list[Arrival]) -> None:
    """Assert that no flow was reordered and no packet delivered twice."""
    for flow, packets in by_flow(arrivals, lambda arrival: arrival.flow).items():
        numbers = [packet.number for packet in packets]
        for before, after in pairwise(numbers):
            assert before < after, f"flow {flow}: packet {after} arrived after packet {before}"


def longest_gap_ms(arrivals: list[Arrival], since_ns: int = 0) -> float:
    """The longest gap between two packets of any flow."""
    longest = 0
    for packets in by_flow(arrivals, lambda arrival: arrival.flow).values():
        times = [packet.received_ns for packet in packets if packet.received_ns >= since_ns]
        for before, after in pairwise(times):
            longest = max(longest, after - before)
    return longest / 1e6


class _Process:
    """One traffic process: ready at the start of the block, ended at its end."""

    def __init__(self, netns: str | None, **settings: Any) -> None:
        command = (sys.executable, "-m", "tests.process.traffic_process", json.dumps(settings))
        self._process = subprocess.Popen(
            in_namespace(netns, *command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(_ROOT)},
        )
        self._said: dict[str, Any] | None = None
        assert self._process.stdout is not None
        self._output = self._process.stdout
        assert self._output.readline() == "ready\n", f"{settings['what']} did not start"

    def _end(self) -> dict[str, Any]:
        if self._said is None:
            self._process.terminate()
            self._said = self._wait()
        return self._said

    def _wait(self) -> dict[str, Any]:
        text, _ = self._process.communicate(timeout=COMMAND_TIMEOUT_S)
        assert self._process.returncode == 0
        said: dict[str, Any] = json.loads(text)
        return said

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()


class Source(_Process):
    """Sends frames of `flows` flows into a device at `rate` packets/s in all. Number and time are limited."""

    def __init__(
        self,
        netns: str | None,
        device: str,
        *,
        rate: int,
        flows: int = 16,
        stream: int = 0,
        limit_s: float = 300,
        limit_packets: int = 10_000_000,
        dst_mac: str = "02:00:00:00:0d:01",
        src_mac: str = "02:00:00:00:05:01",
    ) -> None:
        super().__init__(
            netns,
            what="source",
            device=device,
            rate=rate,
            flows=flows,
            stream=stream,
            limit_s=limit_s,
            limit_packets=limit_packets,
            dst_mac=dst_mac,
            src_mac=src_mac,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if error is None:
            self.stop()
        self.kill()

    def wait(self) -> Sent:
        """Wait until it has sent its limit."""
        if self._said is None:
            self._said = self._wait()
        return self.result

    def stop(self) -> Sent:
        self._end()
        return self.result

    @property
    def result(self) -> Sent:
        assert self._said is not None, "the source still runs"
        return Sent(**{**self._said, "accepted_of": tuple(self._said["accepted_of"])})


class Sink(_Process):
    """Records the sources' frames that leave by a device."""

    def __init__(self, netns: str | None, device: str) -> None:
        with tempfile.NamedTemporaryFile(prefix="ttfwd-sink-", delete=False) as file:
            self._path = Path(file.name)
        super().__init__(netns, what="sink", device=device, path=file.name)
        self._received: Received | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self.stop()
        finally:
            self.kill()
            self._path.unlink(missing_ok=True)

    def stop(self) -> Received:
        """Stop once the forwarder is quiet. All frames that reached this device are read first."""
        if self._received is None:
            said = self._end()
            columns = [array("H"), array("Q"), array("Q"), array("Q")]
            with self._path.open("rb") as data:
                for column in columns:
                    column.fromfile(data, said["packets"])
            self._received = Received(said["packets"], said["missed_packets"], *columns)
        return self._received

    @property
    def received(self) -> Received:
        assert self._received is not None, "the sink still runs"
        return self._received

# SPDX-License-Identifier: Apache-2.0
"""What the tests know of a device under test (DUT) of any kind.

A DUT lies between two endpoints, which belong to the tester. It has books of its own if it is an instance of
ttfwd; of any other device, only the devices around it tell.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from forwarder.errors import NotRunning
from forwarder.results import model
from forwarder.tester.trial import Endpoint


@dataclass(frozen=True, slots=True)
class Account:
    """What a DUT has counted until a moment, frames. Only the difference of two accounts means something."""

    dropped_before: int = 0  # by its devices, before it could receive them
    dropped: Mapping[str, int] = field(default_factory=dict)  # inside, by reason
    dropped_after: int = 0  # by its devices, after it had sent them
    received: int = 0
    cpu_ns: int = 0  # of its workers


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU time that packets took."""

    packets: int = 0
    cpu_ns: int = 0

    @property
    def ns_per_packet(self) -> float | None:
        return self.cpu_ns / self.packets if self.packets else None


class Dut(Protocol):
    """A device under test."""

    @property
    def endpoints(self) -> tuple[Endpoint, Endpoint]:
        """The tester's devices: forward goes from the first to the second."""
        ...

    @property
    def cpus(self) -> tuple[int, ...]:
        """The CPUs that it works on; empty if nobody knows."""
        ...

    @property
    def pids(self) -> frozenset[int]:
        """Its processes now: what they take of a CPU isn't foreign."""
        ...

    @property
    def gives_reasons(self) -> bool:
        """Whether its account says where each lost frame went."""
        ...

    def describe(self) -> model.Dut:
        """For the result. It may be gone by then."""
        ...

    def account(self, whole: bool = True) -> Account:
        """Its account once it has come to rest. Raises DutStopped, DeviceError.

        `whole` False: quickly, as nothing has come since the last one.
        """
        ...

    def spent(self, cost: Cost) -> None:
        """Told what it took for the packets of a trial."""
        ...

    def restart(self) -> None:
        """Start it anew. Raises TtfwdError; UsageError where that isn't ours to do."""
        ...

    def close(self) -> None:
        """End what was started for the measurement, and remove what that made."""
        ...


class DutStopped(NotRunning):
    """The instance ended during the measurement."""

    def __init__(self, instance: str) -> None:
        super().__init__(instance)
        self.args = (f'instance "{instance}" stopped during the measurement',)


def shown(endpoint: Endpoint) -> str:
    """As `--external` takes it: "device", or "netns/device"."""
    return f"{endpoint.netns}/{endpoint.device}" if endpoint.netns else endpoint.device

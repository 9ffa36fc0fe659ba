# SPDX-License-Identifier: Apache-2.0
"""What the worker pool tells the supervisor, which acts on each event before the pool goes on."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Restarted:
    """A new process stands in for a dead one. It waits for its ports, and for go."""

    worker: int


@dataclass(frozen=True, slots=True)
class CameBack:
    """It serves its queues again."""

    worker: int


@dataclass(frozen=True, slots=True)
class WentAway:
    """Nobody serves its queues until it comes back. Yielded before the worker's state says so."""

    worker: int


@dataclass(frozen=True, slots=True)
class QueueReported:
    """A queue stopped, or works again (no error). The port id comes from the worker: it may be wrong."""

    worker: int
    port_id: int
    error: str | None


@dataclass(frozen=True, slots=True)
class QueueGotStuck:
    """A queue needs a new packet ring. The port id comes from the worker: it may be wrong."""

    worker: int
    port_id: int


Event = Restarted | CameBack | WentAway | QueueReported | QueueGotStuck

# SPDX-License-Identifier: Apache-2.0
"""`python fast_supervisor.py CONFIG`: run an instance whose supervisor never pauses.

Its periodic work, which is that of each second otherwise, is done thousands of times. Prints how many of the
interpreter's memory blocks each turn kept. Then it stops.
"""

from __future__ import annotations

import gc
import sys
import time
from pathlib import Path

from forwarder.config.cpus import allowed_cpus
from forwarder.config.load import load
from forwarder.supervisor import device_follower, main_loop, memory_watch, worker_pool

WARM_UP_TURNS = 200
TURNS = 1_000


class FastSupervisor(main_loop.Supervisor):
    turns = 0
    before = 0

    def _turn(self) -> None:
        super()._turn()
        self.turns += 1
        if self.turns == WARM_UP_TURNS:
            self.before = _blocks()
        elif self.turns == WARM_UP_TURNS + TURNS:
            print((_blocks() - self.before) / TURNS)
            self._stopping = True


def _blocks() -> int:
    gc.collect()
    return sys.getallocatedblocks()


def main() -> None:
    main_loop.TICK_S = 0.0
    device_follower.READ_EVERY_NS = device_follower.LOOK_PAUSE_NS = 0
    memory_watch.LOOK_EVERY_NS = 0
    worker_pool.PLACE_EVERY_NS = 0
    config = load(Path(sys.argv[1]), allowed_cpus())
    FastSupervisor(config, time.monotonic_ns()).run(lambda _: None)


if __name__ == "__main__":
    main()

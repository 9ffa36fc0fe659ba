# SPDX-License-Identifier: Apache-2.0
"""Looks at an instance again and again, also when it is started anew."""

from __future__ import annotations

import time
from collections.abc import Callable

from forwarder import rundir
from forwarder.errors import TtfwdError
from forwarder.stats.reader import StatsReader
from forwarder.stats.snapshot import Snapshot

# Long enough for a service manager to start it again. While somebody holds its lock, a start is under way.
SUCCESSOR_S = 5.0
_POLL_S = 0.1


class Follower:
    """Owns the reader of the newest start of an instance, until close()."""

    def __init__(self, instance: str) -> None:
        """Raises NotRunning, NotPermitted, or SegmentError if it can't be read."""
        self._instance = instance
        self._reader = StatsReader.attach(instance)

    def close(self) -> None:
        self._reader.close()

    def look(self) -> Snapshot:
        """The newest start, as it is now. Its epoch tells whether that is another one than before."""
        snapshot = self._reader.snapshot()
        if not snapshot.instance.supervisor_alive and self._move_on():
            return self._reader.snapshot()
        return snapshot

    def is_started_again(self, pause: Callable[[float], bool]) -> bool:
        """After its stop: wait a moment for another start. `pause` sleeps for seconds; True gives up."""
        deadline = time.monotonic() + SUCCESSOR_S
        while not self._move_on():
            if self._is_held():
                deadline = time.monotonic() + SUCCESSOR_S
            if time.monotonic() > deadline or pause(_POLL_S):
                return False
        return True

    def _is_held(self) -> bool:
        try:
            return rundir.holder(self._instance) is not None
        except TtfwdError:
            return False

    def _move_on(self) -> bool:
        """Turn to a newer start, if there is one."""
        try:
            newer = StatsReader.attach(self._instance)
        except TtfwdError:
            return False
        if newer.epoch == self._reader.epoch:
            newer.close()
            return False
        self._reader.close()
        self._reader = newer
        return True

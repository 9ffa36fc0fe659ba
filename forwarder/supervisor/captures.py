# SPDX-License-Identifier: Apache-2.0
"""Carries out `capture`: the workers record what happens to frames for as long as a client is connected.

Several clients may capture at once. The workers record what any of them wants, and each client picks its own
from that. While nobody captures, the memory of the records isn't allocated.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from forwarder.capture.events import EVENTS, mask
from forwarder.control.server import Client
from forwarder.errors import BadRequest
from forwarder.native import lib
from forwarder.supervisor.shared_state import SharedState
from forwarder.supervisor.worker_pool import WorkerPool

log = logging.getLogger("ttfwd")


@dataclass(frozen=True)
class _Wanted:
    events: int  # 1 << enum ttf_event
    keep_bytes: int  # of each frame


class Captures:
    def __init__(self, state: SharedState, pool: WorkerPool) -> None:
        self._state = state
        self._pool = pool
        self._wanted: dict[int, _Wanted] = {}  # by the client's number

    def begin(self, params: Mapping[str, Any], client: Client) -> dict[str, Any]:
        """Record for this client until its connection ends. Beside the reply: every worker's records.

        Raises TtfwdError: malformed parameters, or no memory.
        """
        wanted = _wanted(params)
        if client.number in self._wanted:
            raise BadRequest("capture: this connection captures already")
        if not self._wanted:
            self._state.allocate_captures()
        self._wanted[client.number] = wanted
        client.when_gone = lambda: self._end(client.number)
        client.beside = self._state.capture_fds()
        self._order()
        log.info("process %d captures", client.pid)
        return {"workers": len(self._pool.workers)}

    def _end(self, number: int) -> None:
        del self._wanted[number]
        self._order()
        if not self._wanted:
            self._state.release_captures()
        log.info("a capture ended")

    def _order(self) -> None:
        events, keep_bytes = 0, 0
        for wanted in self._wanted.values():
            events |= wanted.events
            keep_bytes = max(keep_bytes, wanted.keep_bytes)
        self._state.order_capture(events, keep_bytes)
        self._pool.wake_all()


def _wanted(params: Mapping[str, Any]) -> _Wanted:
    if unknown := params.keys() - {"events", "bytes"}:
        raise BadRequest(f"capture: unknown parameter {', '.join(sorted(unknown))}")
    events, keep_bytes = params.get("events", list(EVENTS)), params.get("bytes", lib.TTF_FRAME_MAX_BYTES)
    if not isinstance(events, list) or not events or not set(map(str, events)) <= EVENTS.keys():
        raise BadRequest(f"events: a list of {', '.join(EVENTS)}")
    if type(keep_bytes) is not int or not 0 <= keep_bytes <= lib.TTF_FRAME_MAX_BYTES:
        raise BadRequest(f"bytes: of each frame, 0 to {lib.TTF_FRAME_MAX_BYTES}")
    return _Wanted(mask(events), keep_bytes)

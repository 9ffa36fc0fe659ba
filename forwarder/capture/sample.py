# SPDX-License-Identifier: Apache-2.0
"""One of N received frames, with all that happens to it."""

from __future__ import annotations

from forwarder.capture.record import Name, Record
from forwarder.native import lib


class Sample:
    def __init__(self, one_of: int) -> None:
        self._one_of = one_of
        self._counted = 0
        self._named: dict[Name, bool] = {}

    def forget(self) -> None:
        """Records were lost: frames that are under way are in no sample."""
        self._named.clear()

    def has(self, record: Record, passes: bool) -> bool:
        """Whether a record belongs to the sample. `passes`: only such frames are counted."""
        if record.event == lib.TTF_EVENT_RX or not record.has_name:
            chosen = passes and self._counted % self._one_of == 0
            self._counted += passes
            if record.has_name:
                self._named[record.name] = chosen
            return chosen
        if record.event == lib.TTF_EVENT_COPY:
            self._named[record.name] = self._named.get(record.origin, False)
        return self._named.get(record.name, False)

# SPDX-License-Identifier: Apache-2.0
"""What can happen to a frame: the names and numbers of enum ttf_event."""

from collections.abc import Iterable

from forwarder.native import ffi, lib

EVENTS = {
    ffi.string(lib.ttf_event_name(number)).decode(): number
    for number in range(lib.TTF_EVENT_COUNT)
    if number != lib.TTF_EVENT_PAD
}


def mask(names: Iterable[str]) -> int:
    """1 << number for each of these events."""
    return sum({1 << EVENTS[name] for name in names})

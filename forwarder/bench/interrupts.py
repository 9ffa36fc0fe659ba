# SPDX-License-Identifier: Apache-2.0
"""Signals that end a measurement: Ctrl-C, SIGTERM, SIGHUP. The first one is a KeyboardInterrupt."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_Handler = Callable[[int, FrameType | None], None] | signal.Handlers


@contextmanager
def signals_interrupt() -> Iterator[None]:
    """A signal raises KeyboardInterrupt. Later ones are ignored, so that they don't disturb the clean-up."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    with _handled_by(interrupt):
        yield


@contextmanager
def signals_ignored() -> Iterator[None]:
    """For moments in which one would only lose what is about to be kept."""
    with _handled_by(signal.SIG_IGN):
        yield


@contextmanager
def _handled_by(handler: _Handler) -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        for number, old in before.items():
            if old is not signal.SIG_IGN:  # nohup, or the first signal was
                signal.signal(number, handler)
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)

# SPDX-License-Identifier: Apache-2.0
"""Signals as bytes on a socket, for the supervisor's selector: a handler itself does nothing."""

import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager

_END = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}


class Signals:
    """Signals arrive here within installed(), which is entered once."""

    def __init__(self) -> None:
        self._read, self._write = socket.socketpair()
        self._read.setblocking(False)
        self._write.setblocking(False)

    @contextmanager
    def installed(self) -> Iterator[None]:
        numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGCHLD]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup leaves it
            numbers.append(signal.SIGHUP)
        before = {number: signal.signal(number, lambda *_: None) for number in numbers}
        old_fd = signal.set_wakeup_fd(self._write.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(old_fd)
            for number, handler in before.items():
                signal.signal(number, handler)
            self._read.close()
            self._write.close()

    def fileno(self) -> int:
        return self._read.fileno()

    def end_arrived(self) -> bool:
        """Whether a signal that ends the instance arrived since the last call."""
        try:
            arrived = set(self._read.recv(4096))
        except BlockingIOError:
            return False
        return bool(arrived & _END)

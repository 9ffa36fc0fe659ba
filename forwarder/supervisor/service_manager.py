# SPDX-License-Identifier: Apache-2.0
"""What the supervisor tells the service manager that started it: sd_notify(3), and systemd's watchdog.

The watchdog is fed by the main loop, so it fires when the supervisor hangs. It isn't fed while a worker isn't
well and the supervisor's own remedies are over (WorkerPool.beyond_remedy); a worker that is replaced as usual
costs no meal.
"""

import logging
import os
import socket
from collections.abc import Mapping, Sequence

MARGIN_MS = 30_000  # of a stop, beside its drain: ends of workers, devices, files

log = logging.getLogger("ttfwd")


class ServiceManager:
    """Without one, nothing is told."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        self._meal_every_ns = _timeout_ns(environment) // 2 if self._address else 0
        self._meal_at_ns = 0
        self._status = ""
        self._ill: tuple[int, ...] = ()

    def ready(self, status: str) -> None:
        self._tell("READY=1")
        self.status(status)

    def status(self, text: str) -> None:
        """A line for `systemctl status`."""
        if text != self._status:
            self._status = text
            self._tell(f"STATUS={text}")

    def stopping(self, drain_ms: int) -> None:
        """The instance drains for so long at most. systemd must wait for it, also if its unit says less."""
        self._tell(f"STOPPING=1\nEXTEND_TIMEOUT_USEC={(drain_ms + MARGIN_MS) * 1000}")
        self.status("draining")

    def feed(self, now_ns: int, ill: Sequence[int] = ()) -> None:
        """Feed the watchdog if it is time, and unless there are workers that no remedy helps."""
        if not self._meal_every_ns:
            return
        if tuple(ill) != self._ill:
            self._ill = tuple(ill)
            if ill:
                names = ", ".join(map(str, ill))
                log.error("no remedy helps worker %s: the service manager's watchdog isn't fed", names)
        if not ill and now_ns >= self._meal_at_ns:
            self._meal_at_ns = now_ns + self._meal_every_ns
            self._tell("WATCHDOG=1")

    def _tell(self, state: str) -> None:
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address[0] == "@" else self._address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
            try:
                sock.sendto(state.encode(), address)
            except OSError as error:
                log.warning("NOTIFY_SOCKET: %s", error.strerror or error)


def _timeout_ns(environment: Mapping[str, str]) -> int:
    """The watchdog's, 0 if there is none for this process."""
    pid, timeout_us = environment.get("WATCHDOG_PID"), environment.get("WATCHDOG_USEC", "0")
    if pid is not None and pid != str(os.getpid()):
        return 0
    if not (timeout_us.isascii() and timeout_us.isdigit()):
        log.warning("WATCHDOG_USEC: not a number of microseconds: %r; the watchdog isn't fed", timeout_us)
        return 0
    return int(timeout_us) * 1000

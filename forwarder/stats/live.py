# SPDX-License-Identifier: Apache-2.0
"""The live view of a running instance: `ttfwd start` on a terminal, and `ttfwd stats --watch`.

A daemon thread with a reader, a file descriptor and a console of its own looks at the shared memory and
draws. It shares no lock with the rest of the program: a terminal that was stopped (Ctrl-S) blocks this
thread alone, and `stop()` gives up on it after a bounded time.
"""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from forwarder.errors import TtfwdError
from forwarder.stats.follow import SUCCESSOR_S, Follower
from forwarder.stats.rates import Rates, rates
from forwarder.stats.section import make_console
from forwarder.stats.snapshot import Snapshot
from forwarder.stats.tables import stats_tables

STOP_TIMEOUT_S = 1.0


class LiveView:
    """Draws an instance's statistics every `interval_s` until `stop()`, or until the instance stops.

    Context manager. If the output isn't a terminal that can redraw, each look is printed below the last one.
    """

    def __init__(
        self,
        instance: str,
        output: TextIO,
        interval_s: float = 1.0,
        ports: Sequence[str] = (),
        workers: Sequence[int] = (),
        notes: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        """`output` must have a file descriptor; it is duplicated, never written through or closed.

        `notes` gives the lines to show under the tables: log lines that would spoil the picture elsewhere.
        """
        self._instance = instance
        self._output = output
        self._interval_s = interval_s
        self._ports = tuple(ports)
        self._workers = tuple(workers)
        self._notes = notes
        self._starts = 0  # that were seen since the first look
        self._stopping = threading.Event()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._error: TtfwdError | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Attach, look once, and begin to draw. Raises TtfwdError, UnknownName among them."""
        follower = Follower(self._instance)
        try:
            first = follower.look()
            stats_tables(first, None, self._ports, self._workers)
            console = _own_console(self._output)
        except BaseException:
            follower.close()
            raise
        self._thread = threading.Thread(
            target=self._run, args=(follower, first, console), name="ttfwd-view", daemon=True
        )
        self._thread.start()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until the view ended by itself: the instance stopped, or the terminal went away.

        Returns whether it ended. Raises TtfwdError if a named port no longer exists.
        """
        ended = self._ended.wait(timeout_s)
        if self._error:
            raise self._error
        return ended

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> bool:
        """End the view; its last picture stays.

        False if the thread is left behind, because its terminal takes no output.
        """
        self._stopping.set()
        if self._thread is None:
            return True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self, follower: Follower, first: Snapshot, console: Console) -> None:
        try:
            if console.is_terminal and not console.is_dumb_terminal:
                # No refresh thread of rich's: stopping would wait for it without a bound.
                with Live(
                    console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
                ) as live:
                    self._look(follower, first, lambda picture: live.update(picture, refresh=True))
            else:
                self._look(follower, first, console.print)
        except TtfwdError as error:
            self._error = error
        except OSError:
            pass  # the terminal or the pipe's reader is gone: nobody looks any more
        finally:
            self._ended.set()
            with suppress(OSError):
                console.file.close()

    def _look(self, follower: Follower, first: Snapshot, show: Callable[[RenderableType], None]) -> None:
        before, found = first, None
        with closing(follower):
            while True:
                show(self._picture(before, found))
                if before.instance.state == "stopped":
                    if not follower.is_started_again(self._stopping.wait):
                        return
                elif self._stopping.wait(self._interval_s):
                    return
                after = follower.look()
                self._starts += after.instance.epoch != before.instance.epoch
                found = rates(before, after)
                before = after

    def _picture(self, snapshot: Snapshot, found: Rates | None) -> RenderableType:
        notes = [Text(line, style="dim") for line in (*self._news(snapshot), *self._notes())]
        return Group(*stats_tables(snapshot, found, self._ports, self._workers, live=True), *notes)

    def _news(self, snapshot: Snapshot) -> Iterator[str]:
        if self._starts:
            yield f"Started again since the first look: {self._starts}."
        if snapshot.instance.state == "stopped":
            yield f"Waiting {SUCCESSOR_S:.0f} s for another start; Ctrl-C ends this."


def _own_console(output: TextIO) -> Console:
    # Unbuffered: Python takes the lock of every buffered standard stream at exit, and a thread that hangs
    # in a write would hold it.
    raw = io.FileIO(os.dup(output.fileno()), "w")
    file = io.TextIOWrapper(raw, encoding=output.encoding, errors="replace", write_through=True)
    return make_console(file)

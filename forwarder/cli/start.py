# SPDX-License-Identifier: Apache-2.0
"""`ttfwd start`: run a supervisor in this process and show it.

Data (summary, live view, final accounting) goes to stdout, log lines to stderr. While a live view owns the
terminal, it shows the log lines.
"""

import errno
import logging
import os
import signal
import sys
from pathlib import Path

from forwarder import logs, rundir
from forwarder.cli import summary
from forwarder.config.model import Config
from forwarder.errors import TtfwdError
from forwarder.stats.live import LiveView
from forwarder.stats.reader import StatsReader
from forwarder.stats.section import make_console
from forwarder.stats.snapshot import Snapshot
from forwarder.stats.tables import accounting_table, headline
from forwarder.supervisor.main_loop import Running, Supervisor

log = logging.getLogger("ttfwd")


class _Foreground:
    """Shows one supervisor: the summary, the live view, and the last look at its counters."""

    def __init__(self, config: Config, ready_fd: int | None, handler: logging.Handler) -> None:
        self._name = config.name
        self._ready_fd = ready_fd
        self._handler = handler
        self._recent = logs.RecentLines()
        self._view: LiveView | None = None
        self.final: Snapshot | None = None

    def running(self, running: Running) -> None:
        if sys.stdout.isatty():
            make_console().print(summary.renderable(running))
            self._view = LiveView(self._name, sys.stdout, notes=self._recent.lines)
            self._view.start()
            log.removeHandler(self._handler)
            log.addHandler(self._recent)
        else:
            for line in summary.lines(running):
                log.info("%s", line)
        if self._ready_fd is not None:
            os.write(self._ready_fd, b"READY\n")
            os.close(self._ready_fd)

    def stopping(self) -> None:
        with StatsReader.attach(self._name) as reader:
            self.final = reader.snapshot()
        self.close_view()

    def close_view(self) -> None:
        if self._view is not None:
            self._view.stop()
            self._view = None
            log.removeHandler(self._recent)
            log.addHandler(self._handler)


def run(
    config: Config, began_ns: int, ready_fd: int | None, log_file: Path | None, handler: logging.Handler
) -> None:
    """Run the instance until it is told to stop, then print the final accounting. Raises TtfwdError.

    `log_file`: where this process' output goes. It becomes the instance's log once this is the instance.
    """
    # The supervisor handles signals while it runs. Before and after, a second Ctrl-C changes nothing.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    shown = _Foreground(config, ready_fd, handler)
    with rundir.hold(config.name):
        if log_file is not None:
            log_file.replace(rundir.log_path(config.name))
        try:
            Supervisor(config, began_ns).run(shown.running, shown.stopping)
        finally:
            shown.close_view()
            if shown.final is not None:
                _print_final(shown.final)


def _print_final(final: Snapshot) -> None:
    try:
        console = make_console()
        console.print(headline(final))
        console.print(accounting_table(final))
    except OSError as error:
        if error.errno not in (errno.EIO, errno.EPIPE):
            raise TtfwdError(f"the final accounting can't be written: {error.strerror}") from None
        # The terminal was closed; the instance ended well.

# SPDX-License-Identifier: Apache-2.0
"""The steps of an instance's end. If one fails, the others are done, too, and the failure is known."""

import logging
from collections.abc import Callable
from contextlib import ExitStack

from forwarder.errors import TtfwdError

log = logging.getLogger("ttfwd")


class Closing:
    def __init__(self) -> None:
        self.failed: list[str] = []  # the steps that failed

    def step(self, what: str, function: Callable[[], object]) -> None:
        """Do one step; `what` it deals with is for the log."""
        try:
            function()
        except (OSError, TtfwdError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            log.error("at the end: %s: %s", what, reason or error)
            self.failed.append(what)

    def later(self, stack: ExitStack, what: str, function: Callable[[], object]) -> None:
        """Have a step done when `stack` closes."""
        stack.callback(self.step, what, function)

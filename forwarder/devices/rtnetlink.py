# SPDX-License-Identifier: Apache-2.0
"""Requests to the kernel in this thread's network namespace: pyroute2's IPRoute, whose calls always end.

IPRoute waits in an event loop of asyncio. asyncio's own loops log what fails while they receive (a lack of
memory, say) and wait on, for an answer that never comes.
"""

import asyncio
from contextlib import suppress
from typing import Any

from pyroute2 import IPRoute


class _StrictLoop(asyncio.SelectorEventLoop):
    """Ends what it runs with the error of a callback or of the socket, from the first such error on."""

    failure: BaseException | None = None

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if "handle" in context or "transport" in context:
            self.failure = context["exception"]
            self.stop()
        else:
            super().call_exception_handler(context)

    def run_until_complete(self, future: Any) -> Any:
        if self.failure is not None:
            self.stop()
        running = asyncio.ensure_future(future, loop=self)
        try:
            return super().run_until_complete(running)
        except RuntimeError:
            if self.failure is None:  # it wasn't stopped
                raise
            running.cancel()
            with suppress(asyncio.CancelledError):
                super().run_until_complete(running)
            raise self.failure from None


class RtNetlink(IPRoute):  # type: ignore[misc]
    """An IPRoute. A call may raise MemoryError, too. It is `broken` then, and another must be made."""

    def __init__(self) -> None:
        self._loop = _StrictLoop()
        try:
            super().__init__(use_event_loop=self._loop)
        except BaseException:
            self._loop.close()
            raise

    @property
    def broken(self) -> bool:
        return self._loop.failure is not None

    def close(self) -> None:
        super().close()
        if not self.broken:
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())  # and lets the transport close
        self._loop.close()

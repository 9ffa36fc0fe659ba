# SPDX-License-Identifier: Apache-2.0
"""A headless Chromium on a pipe: opens a page, tells what it asked the network for and what it complained of.

The DevTools protocol over file descriptors 3 and 4 needs no port and no further package: JSON objects, each
ended by a NUL. The browser has a profile of its own, and goes with the `with` block.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.capabilities import missing
from tests.support.commands import COMMAND_TIMEOUT_S

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-pipe",
)


@dataclass
class Page:
    """What one page did while it was open."""

    requests: list[str] = field(default_factory=list)  # URLs beside the page's own
    complaints: list[str] = field(default_factory=list)  # of the console, and uncaught errors


class Browser:
    def __init__(self, to_browser: int, from_browser: int) -> None:
        self._to, self._from = to_browser, from_browser
        self._unread = b""
        self._number = 0
        self._session: str | None = None
        self.page = Page()

    def open(self, path: Path, *, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        """Open a file in a window of this size, and wait until it has loaded."""
        if self._session is None:
            target = self._ask("Target.createTarget", url="about:blank")["targetId"]
            attached = self._ask("Target.attachToTarget", targetId=target, flatten=True)
            self._session = attached["sessionId"]
            for domain in ("Page", "Network", "Runtime", "Log"):
                self._ask(f"{domain}.enable")
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self._ask("Emulation.setEmulatedMedia", features=scheme)
        self._ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        self.page = Page()
        self._url = path.absolute().as_uri()
        self._loaded = False
        self._ask("Page.navigate", url=self._url)
        deadline = time.monotonic() + COMMAND_TIMEOUT_S
        while not self._loaded:
            self._note(self._receive(deadline))

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page."""
        answer = self._ask("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def screenshot(self, *, whole: bool = False) -> bytes:
        """A PNG of the window, or of the whole page."""
        answer = self._ask("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        return base64.b64decode(answer["data"])

    def _ask(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        request: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self._session is not None:
            request["sessionId"] = self._session
        os.write(self._to, json.dumps(request).encode() + b"\0")
        deadline = time.monotonic() + COMMAND_TIMEOUT_S
        while True:
            message = self._receive(deadline)
            if message.get("id") == self._number:
                assert "error" not in message, f"{method}: {message['error']}"
                result: dict[str, Any] = message["result"]
                return result
            self._note(message)

    def _receive(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._unread:
            left = deadline - time.monotonic()
            assert left > 0, "Chromium does not answer"
            assert select.select([self._from], [], [], left)[0], "Chromium does not answer"
            got = os.read(self._from, 1 << 20)
            assert got, "Chromium ended"
            self._unread += got
        text, _, self._unread = self._unread.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        return message

    def _note(self, message: dict[str, Any]) -> None:
        params = message.get("params", {})
        match message.get("method"):
            case "Page.loadEventFired":
                self._loaded = True
            case "Network.requestWillBeSent":
                url = params["request"]["url"]
                if url != self._url and not url.startswith("data:"):
                    self.page.requests.append(url)
            case "Runtime.exceptionThrown":
                self.page.complaints.append(params["exceptionDetails"]["text"])
            case "Runtime.consoleAPICalled":
                self.page.complaints.append(str(params["args"]))
            case "Log.entryAdded":
                self.page.complaints.append(params["entry"]["text"])


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser that has just begun. Skips the test where there is none."""
    program = shutil.which("chromium")
    if program is None:
        missing("chromium")
    reads, ours = os.pipe()
    theirs, writes = os.pipe()
    # The browser takes 3 and 4. Numbers far from these can't collide with them while they are moved.
    ends = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in (reads, writes)]
    os.close(reads)
    os.close(writes)
    script = f'exec "$0" "$@" 3<&{ends[0]} 4>&{ends[1]}'
    with tempfile.TemporaryDirectory(prefix="ttfwd-chromium-", ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            ["bash", "-c", script, program, *_FLAGS, f"--user-data-dir={profile}"],
            pass_fds=ends,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": profile},
        )
        for fd in ends:
            os.close(fd)
        try:
            yield Browser(ours, theirs)
        finally:
            os.close(ours)  # it ends when nobody can ask it any more
            os.close(theirs)
            try:
                process.wait(COMMAND_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

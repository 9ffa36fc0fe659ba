# SPDX-License-Identifier: Apache-2.0
"""The service manager hears what sd_notify(3) says, and its watchdog gets meals in time or none."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from forwarder.supervisor.service_manager import MARGIN_MS, ServiceManager

NOW_NS = 5_000_000_000_000
TIMEOUT_US = 4_000_000


class Ear:
    """A service manager's end of the socket."""

    def __init__(self, address: str) -> None:
        self.environment = {"NOTIFY_SOCKET": address.replace("\0", "@")}
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.bind(address)

    def watches(self) -> dict[str, str]:
        """The environment of a service with a watchdog."""
        pid = str(os.getpid())
        return {**self.environment, "WATCHDOG_USEC": str(TIMEOUT_US), "WATCHDOG_PID": pid}

    def heard(self) -> list[str]:
        found = []
        try:
            while True:
                found.append(self._socket.recv(4096).decode())
        except BlockingIOError:
            return found

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def ear(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ear]:
    found = Ear(str(tmp_path / "notify") if request.param == "path" else f"\0ttfwd-test-{os.getpid()}")
    yield found
    found.close()


def test_what_a_service_tells(ear: Ear) -> None:
    manager = ServiceManager(ear.environment)
    manager.ready("2 workers, 2 ports")
    manager.status("2 workers, 2 ports")
    manager.status("1 of 2 workers are ready, 2 ports")
    manager.stopping(5_000)
    assert ear.heard() == [
        "READY=1",
        "STATUS=2 workers, 2 ports",
        "STATUS=1 of 2 workers are ready, 2 ports",
        f"STOPPING=1\nEXTEND_TIMEOUT_USEC={(5_000 + MARGIN_MS) * 1000}",
        "STATUS=draining",
    ]
    manager.feed(NOW_NS)
    assert ear.heard() == [], "there is no watchdog"


def test_the_watchdog_is_fed_every_half_of_its_time(ear: Ear) -> None:
    manager = ServiceManager(ear.watches())
    for ms in range(0, 10_000, 250):
        manager.feed(NOW_NS + ms * 1_000_000)
    assert ear.heard() == ["WATCHDOG=1"] * 5


def test_it_is_not_fed_while_no_remedy_helps_a_worker(ear: Ear, caplog: pytest.LogCaptureFixture) -> None:
    manager = ServiceManager(ear.watches())
    for ms in range(0, 10_000, 250):
        manager.feed(NOW_NS + ms * 1_000_000, [1, 3])
    assert ear.heard() == []
    assert caplog.messages == ["no remedy helps worker 1, 3: the service manager's watchdog isn't fed"]
    manager.feed(NOW_NS + 10_000_000_000)
    assert ear.heard() == ["WATCHDOG=1"], "at once, as soon as all are well"


def test_another_process_watchdog_is_not_ours(ear: Ear) -> None:
    manager = ServiceManager({**ear.watches(), "WATCHDOG_PID": "1"})
    manager.feed(NOW_NS)
    assert ear.heard() == []


@pytest.mark.parametrize("timeout", ["", "-1", "soon", "1e6", "4 s"])
def test_a_malformed_timeout_is_said(ear: Ear, timeout: str, caplog: pytest.LogCaptureFixture) -> None:
    ServiceManager({**ear.watches(), "WATCHDOG_USEC": timeout}).feed(NOW_NS)
    assert ear.heard() == []
    assert f"WATCHDOG_USEC: not a number of microseconds: {timeout!r}" in caplog.text


def test_without_a_service_manager_nothing_is_told(caplog: pytest.LogCaptureFixture) -> None:
    for environment in ({}, {"NOTIFY_SOCKET": ""}, {"WATCHDOG_USEC": "malformed"}):
        manager = ServiceManager(environment)
        manager.ready("")
        manager.feed(NOW_NS)
        manager.stopping(0)
    assert caplog.messages == []


def test_a_socket_that_is_gone_is_said_and_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "none")}).ready("")
    assert caplog.messages == ["NOTIFY_SOCKET: No such file or directory"]

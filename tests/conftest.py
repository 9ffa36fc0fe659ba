# SPDX-License-Identifier: Apache-2.0
"""Rules for skipped tests in this folder and below.

A test that can't run here names the missing capability (tests/support/capabilities.py). With TTFWD_CI set,
a skip fails the run, as a machine that stopped offering something would otherwise look like a pass.
Each test also gets the marker of its folder, so that `pytest -m "not netns"` works.
"""

from __future__ import annotations

import fcntl
import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.capabilities import REASON

# Capabilities that continuous integration may lack. Each entry needs a comment that says why.
ALLOWED_MISSING: frozenset[str] = frozenset(
    {
        "cpuset cgroups",  # a container may rarely make any
        # The instrument's searches and medians need moments without neighbours. It says so when it gets none.
        "a CPU that others leave alone",
    }
)
if not os.environ.get("TTFWD_GUEST"):
    # Most test machines can't load our module, but the guest that the tests start does. These tests run
    # there, and there a skip is a failure.
    ALLOWED_MISSING |= {"turbotap.ko"}

_HERE = Path(__file__).parent


class _NoSkips:
    """Collects skips. Registered only if a skip is a failure."""

    def __init__(self) -> None:
        self.skipped: list[str] = []

    def _note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if not report.skipped or hasattr(report, "wasxfail"):
            return
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        capability = reason.removeprefix("Skipped: ").removeprefix(REASON)
        if capability not in ALLOWED_MISSING:
            self.skipped.append(f"{report.nodeid}: {reason}")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._note(report)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.skipped and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.skipped:
            terminalreporter.section("skipped, which fails the run where TTFWD_CI is set", red=True)
            for line in self.skipped:
                terminalreporter.line(line)


_kill = os.kill


def _kill_a_process(pid: int, number: int) -> None:
    """The pid of a worker that just died is 0, and a signal to 0 ends the whole run."""
    assert pid > 0, f"signal {number} to a process group: {pid}"
    _kill(pid, number)


def pytest_configure(config: pytest.Config) -> None:
    pytest.MonkeyPatch().setattr(os, "kill", _kill_a_process)
    # What tests start must not ignore these because we were started in the background, or by nohup.
    for number in (signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if os.environ.get("TTFWD_CI"):
        config.pluginmanager.register(_NoSkips(), "ttfwd-no-skips")
    if config.pluginmanager.has_plugin("hypothesispytest"):  # a guest does without, as its import is slow
        from hypothesis import settings

        # No deadline for an example: its time depends more on the machine than on the code.
        settings.register_profile("any-machine", deadline=None)
        settings.register_profile("few-examples", deadline=None, max_examples=20)
        settings.load_profile("any-machine")


@pytest.fixture(autouse=True)
def _beside_others(request: pytest.FixtureRequest) -> Iterator[None]:
    """While a test that must be alone runs, the run's other processes wait before their next tests."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID")
    if run is None:  # there is one process
        yield
        return
    alone = request.node.get_closest_marker("alone") is not None
    with open(Path(tempfile.gettempdir(), f"ttfwd-tests-{run}"), "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield


def pytest_unconfigure(config: pytest.Config) -> None:
    if (run := os.environ.get("PYTEST_XDIST_TESTRUNUID")) is not None:
        Path(tempfile.gettempdir(), f"ttfwd-tests-{run}").unlink(missing_ok=True)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        folder = item.path.relative_to(_HERE).parts[0] if item.path.is_relative_to(_HERE) else ""
        if folder in ("unit", "native", "process", "netns", "kmod"):
            item.add_marker(folder)
    # Last, when few others are left to wait for.
    items.sort(key=lambda item: item.get_closest_marker("alone") is not None)

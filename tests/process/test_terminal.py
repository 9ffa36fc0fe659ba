# SPDX-License-Identifier: Apache-2.0
"""`ttfwd start` on a terminal: the plan, the live view, and a clean end in all cases: by Ctrl-C, by a signal,
with
the window closed, or with its output stopped."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.process.terminal import CTRL_C, Terminal
from tests.process.topology import Pair
from tests.process.traffic import Source
from tests.support.commands import run, unique
from tests.support.instance import STOP_TIMEOUT_S, TTFWD, private_environment
from tests.support.netns import device_exists
from tests.support.shm import remove_segments, segments_of
from tests.support.wait import wait_until


@dataclass(frozen=True)
class Setting:
    name: str
    pair: Pair
    config: Path
    environment: dict[str, str]

    def start(self) -> Terminal:
        return Terminal([TTFWD, "start", "-c", self.config, "--name", self.name], self.environment)

    def connect(self, port: str) -> None:
        """`ttfwd connect`, from another terminal."""
        command = (TTFWD, "connect", port, "--netns", self.pair.left, "--name", self.name)
        run(*command, env=self.environment)

    def assert_nothing_left(self) -> None:
        assert segments_of(self.name) == []
        assert not device_exists(self.pair.left, "t0")
        assert not device_exists(self.pair.right, "t1")
        assert not (Path(self.environment["TTFWD_RUNTIME_DIR"]) / f"{self.name}.sock").exists()


@pytest.fixture
def setting(pair: Pair, tmp_path: Path) -> Iterator[Setting]:
    config = tmp_path / "config.toml"
    config.write_text(pair.config())
    environment = private_environment(tmp_path / "run")
    found = Setting(unique("t"), pair, config, environment)
    yield found
    remove_segments(found.name)  # after a test that failed


def test_it_shows_the_plan_and_a_live_view_and_ctrl_c_drains(setting: Setting) -> None:
    with setting.start() as terminal:
        terminal.wait_for("heartbeat")
        for part in (
            setting.name,
            "xconnect",
            "worker -> CPU",
            "0 -> ",
            f"netns {setting.pair.left}",
            "as configured",  # why this driver
            "Try, in another terminal:",
            f"ttfwd stop --name {setting.name}",
            "Traffic",
            "Workers",
        ):
            assert part in terminal.shown, part
        assert "\x1b[" in terminal.raw  # it redraws
        with Source(setting.pair.left, "t0", rate=4_000, limit_packets=1_600) as source:
            source.wait()
        terminal.wait_for("1,600")  # the view follows
        before = len(terminal.shown)
        terminal.type(CTRL_C)
        assert terminal.wait() == 0
        final = terminal.shown[before:]
        assert "stopped" in final
        assert "received" in final
        assert "1,600" in final
        assert "every packet is accounted for" in final
        assert "Traceback" not in terminal.shown
    setting.assert_nothing_left()


def test_log_lines_are_shown_in_the_live_view(setting: Setting) -> None:
    with setting.start() as terminal:
        terminal.wait_for("heartbeat")
        setting.connect("t7")
        terminal.wait_for("port t7 connected")
        terminal.type(CTRL_C)
        assert terminal.wait() == 0
    setting.assert_nothing_left()


def test_more_than_one_ctrl_c_is_still_a_clean_end(setting: Setting) -> None:
    with setting.start() as terminal:
        terminal.wait_for("heartbeat")
        with Source(setting.pair.left, "t0", rate=4_000):
            while terminal.process.poll() is None:
                terminal.type(CTRL_C)
                terminal.look()
        assert terminal.wait() == 0
        # Each Ctrl-C also makes the terminal discard pending output (termios(3), NOFLSH).
        assert "Aborted" not in terminal.shown
        assert "Traceback" not in terminal.shown
    setting.assert_nothing_left()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_like_ctrl_c(setting: Setting, number: signal.Signals) -> None:
    with setting.start() as terminal:
        terminal.wait_for("heartbeat")
        terminal.process.send_signal(number)
        assert terminal.wait() == 0
        assert "every packet is accounted for" in terminal.shown
        assert "Traceback" not in terminal.shown
    setting.assert_nothing_left()


def test_a_closed_terminal_drains_and_removes_everything(setting: Setting) -> None:
    with setting.start() as terminal:
        terminal.wait_for("heartbeat")
        children = psutil.Process(terminal.process.pid).children()
        assert len(children) >= 2  # the workers, and perhaps a standby
        terminal.hang_up()
        assert terminal.process.wait(STOP_TIMEOUT_S) == 0
        assert not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children)
    setting.assert_nothing_left()


def test_a_terminal_that_takes_no_output_holds_nothing_up(setting: Setting) -> None:
    """Ctrl-S, or an unread window: forwarding, commands and the end don't wait for the terminal."""
    with setting.start() as terminal:
        terminal.wait_for("heartbeat")
        time.sleep(3)  # a few redraws fill the pty; the test stops reading here
        setting.connect("t7")
        terminal.process.send_signal(signal.SIGTERM)
        wait_until(lambda: not segments_of(setting.name), "its memory is gone")
        setting.assert_nothing_left()
        assert terminal.wait() == 0  # the test reads again: the rest is printed
        assert "every packet is accounted for" in terminal.shown


def test_stats_watch_on_a_terminal_follows_and_ends_with_ctrl_c(setting: Setting) -> None:
    with setting.start() as first:
        first.wait_for("heartbeat")
        command: list[str | Path] = [TTFWD, "stats", "--watch", "--interval", "0.1", "--name", setting.name]
        with Terminal(command, setting.environment) as watching:
            watching.wait_for("heartbeat")
            with Source(setting.pair.left, "t0", rate=4_000, limit_packets=1_600) as source:
                source.wait()
            watching.wait_for("1,600")
            watching.type(CTRL_C)
            assert watching.wait() == 0
            assert "Traceback" not in watching.shown
        with Terminal(command, setting.environment) as watching:
            watching.wait_for("heartbeat")
            first.type(CTRL_C)
            assert first.wait() == 0
            assert watching.wait() == 0  # the instance stopped: nothing more to watch
            assert "stopped" in watching.shown
    setting.assert_nothing_left()


def test_a_refused_start_on_a_terminal_is_one_line(setting: Setting) -> None:
    setting.config.write_text('mode = "rxonly"\n[[port]]\nname = "p0"\ndriver = "packet"\n')
    with setting.start() as terminal:
        assert terminal.wait() == 1
        assert terminal.shown.strip() == 'ttfwd: port "p0": no such device'

# SPDX-License-Identifier: Apache-2.0
"""Starts and stops that meet each other, and those that have no terminal at all."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.process.control_client import Client
from tests.process.topology import Pair
from tests.process.traffic import Source
from tests.support.commands import COMMAND_TIMEOUT_S, run, unique
from tests.support.instance import STOP_TIMEOUT_S, TTFWD, instance, private_environment
from tests.support.shm import remove_segments, segments_of
from tests.support.wait import wait_until

CONFIG = 'mode = "rxonly"\nqueues = 2\n'
STARTS = 4


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(CONFIG)
    return path


def begin(*words: str | Path, environment: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [TTFWD, *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def test_of_many_starts_at_once_one_wins_and_the_others_say_so(tmp_path: Path, config: Path) -> None:
    name, environment = unique("t"), private_environment(tmp_path / "run")
    starts = [
        begin("start", "-c", config, "--name", name, "--detach", environment=environment)
        for _ in range(STARTS)
    ]
    try:
        ends = [(*process.communicate(timeout=COMMAND_TIMEOUT_S), process.returncode) for process in starts]
        won = [stdout for stdout, _, code in ends if code == 0]
        assert len(won) == 1, ends
        for _, stderr, code in ends:
            assert code == 0 or (
                code == 1 and stderr.startswith(f'ttfwd: instance "{name}" is already running: process ')
            )
            assert stderr.count("\n") == code
        run(TTFWD, "stats", "--name", name, env=environment)
    finally:
        run(TTFWD, "stop", "--name", name, env=environment, code=None)
    log = (tmp_path / "run" / f"{name}.log").read_text()
    assert f"instance {name}: rxonly" in log
    assert "every packet is accounted for" in log
    assert "already" not in log
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [f"{name}.lock", f"{name}.log"]
    assert segments_of(name) == []


def test_stops_that_meet_all_succeed_and_other_requests_are_told(pair: Pair) -> None:
    """A drain is served: it may take a minute."""
    with instance(pair.config(drain_timeout_ms=60_000)) as it, Source(pair.left, "t0", rate=4_000):
        waiting = Client(it)
        pid = it.worker_pids()[0]
        run("kill", "-STOP", str(pid))  # the drain waits for it
        stops = [begin("stop", "--name", it.name, environment=it.environment) for _ in range(2)]
        it.wait(lambda s: s.instance.state == "draining", "the drain")
        assert waiting.call("status")["instance"] == it.name
        for words in (["connect", "x0"], ["delete", "t0"]):
            refused = it.cli(words[0], words[1], code=3)
            assert refused.stderr == f'ttfwd: instance "{it.name}" is stopping\n'
        stops.append(begin("stop", "--name", it.name, "--timeout", "0", environment=it.environment))
        for stop in stops:
            stdout, stderr = stop.communicate(timeout=STOP_TIMEOUT_S)
            assert (stop.returncode, stdout, stderr) == (0, f'instance "{it.name}" stopped\n', "")
        it.process.wait(STOP_TIMEOUT_S)
        assert waiting.reply() is None
        waiting.close()
        it.cli("stop", code=3)


@contextmanager
def started_again(config: Path, name: str, environment: dict[str, str]) -> Iterator[None]:
    run(TTFWD, "start", "-c", config, "--name", name, "--detach", env=environment)
    try:
        yield
    finally:
        run(TTFWD, "stop", "--name", name, env=environment)


def test_a_watch_follows_an_instance_that_is_started_again(config: Path) -> None:
    with instance(CONFIG) as it:
        it.expect_crash()
        watch = begin(
            *("stats", "--name", it.name, "--watch", "--json", "--interval", "0.1"),
            environment=it.environment,
        )
        assert watch.stdout is not None
        first = json.loads(watch.stdout.readline())["instance"]["epoch"]
        it.process.kill()
        it.process.wait(STOP_TIMEOUT_S)
        with started_again(config, it.name, it.environment):
            wait_until(lambda: epoch(watch) != first, "the watch sees the new one")
            watch.send_signal(signal.SIGINT)
            _, said = watch.communicate(timeout=STOP_TIMEOUT_S)
        assert watch.returncode == 0
        assert said == f'ttfwd: instance "{it.name}" was started again\n'


def epoch(watch: subprocess.Popen[str]) -> str:
    assert watch.stdout is not None
    line = watch.stdout.readline()
    assert line, "the watch ended"
    found: str = json.loads(line)["instance"]["epoch"]
    return found


CLOSED = ["<&-", ">&-", "2>&-", "<&- >&- 2>&-", "2>/dev/full"]


@pytest.mark.parametrize("closed", CLOSED)
def test_a_command_without_a_terminal_has_the_exit_code_that_it_has_with_one(
    tmp_path: Path, config: Path, closed: str
) -> None:
    bad = tmp_path / "bad.toml"
    bad.write_text("queues = 0\n")
    for path, code in ((config, 0), (bad, 2)):
        run("sh", "-c", f'"$0" check "$1" {closed}', TTFWD, path, code=code)
    assert bad.read_text() == "queues = 0\n"


def test_an_instance_without_a_terminal(tmp_path: Path, config: Path) -> None:
    name, environment = unique("t"), private_environment(tmp_path / "run")
    script = 'exec "$0" start -c "$1" --name "$2" <&- >&- 2>&-'
    process = subprocess.Popen(["sh", "-c", script, TTFWD, config, name], env=environment)
    try:
        wait_until(lambda: state(name, environment) == "running", "it runs")
        pid = json.loads(run(TTFWD, "stats", "--json", "--name", name, env=environment).stdout)["workers"][0][
            "pid"
        ]
        for held in (process.pid, pid):
            files = [str(Path(f"/proc/{held}/fd/{fd}").readlink()) for fd in (0, 1, 2)]
            assert files[1] == "/dev/null", files
        run(TTFWD, "stop", "--name", name, env=environment)
        assert process.wait(STOP_TIMEOUT_S) == 0
    finally:
        process.kill()
        process.wait()
        remove_segments(name)


def state(name: str, environment: dict[str, str]) -> str | None:
    shown = run(TTFWD, "stats", "--json", "--interval", "0.05", "--name", name, env=environment, code=None)
    return json.loads(shown.stdout)["instance"]["state"] if shown.returncode == 0 else None

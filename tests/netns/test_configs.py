# SPDX-License-Identifier: Apache-2.0
"""Each file of configs/ as a user runs it: unchanged, with every command of its comments.

Each file begins with a drawing of its topology. Commands are comment lines of the form `#   ip ...` and
`#   ttfwd ...`, in blocks. All blocks run while the instance runs, or there are three (before, while, after)
if devices must be made first. Only commands that would run long or for ever are changed: they get an end.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.support.commands import ip, run
from tests.support.instance import TTFWD, Instance, instance

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
NAMES = ("1q", "4q", "flow", "bridge", "macswap", "rxonly", "txonly", "packet", "empty")
COMMANDS = ("ip", "ttfwd")
PINGS = 100


def blocks_of(path: Path) -> list[list[str]]:
    """The commands of the leading comment, in blocks separated by text."""
    blocks: list[list[str]] = [[]]
    for line in path.read_text().split("\n\n")[0].splitlines():
        if line.startswith("#   ") and line.split()[1] in COMMANDS:
            blocks[-1].append(line.removeprefix("#   "))
        elif blocks[-1]:
            blocks.append([])
    return [block for block in blocks if block]


def run_as_user(
    command: str, it: Instance | None = None, *, answered: bool = True
) -> subprocess.CompletedProcess[str] | None:
    """One command of a comment. None for tcpdump, which only looks and may not be installed.

    `answered`: ping waits until it has had all its replies; without any it exits with 1.
    """
    words = shlex.split(command.removesuffix("&"))
    if "tcpdump" in words:
        return None
    if words[0] == "ttfwd":
        assert it is not None
        return run(TTFWD, *words[1:], env=it.environment)
    if "ping" in words:
        at = words.index("ping") + 1
        words[at:at] = [*(("-w", "60") if answered else ("-W", "1")), *(() if "-c" in words else ("-c", "3"))]
        count = words.index("-c") + 1
        words[count] = str(min(int(words[count]), PINGS))
    if "iperf3" in words and "-c" in words:
        words += ["-t", "2"]
    return run(*words, code=1 if "ping" in words and not answered else 0)


def test_every_file_is_tested() -> None:
    assert {path.stem for path in CONFIGS.glob("*.toml")} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_config_runs_as_its_comments_say(name: str) -> None:
    path = CONFIGS / f"{name}.toml"
    mode = tomllib.loads(path.read_text())["mode"]
    blocks = blocks_of(path)
    if len(blocks) == 3:
        before, during, after = blocks
    else:
        before, during, after = [], [command for block in blocks for command in block], []
    try:
        for command in before:
            run_as_user(command)
        with instance(path, name=tomllib.loads(path.read_text())["name"]) as it:
            for command in during:
                done = run_as_user(command, it, answered=mode in ("xconnect", "bridge"))
                if done is not None and command == "ttfwd stats":
                    assert all(port.name in done.stdout for port in it.stats().ports)
            assert_counted(it, mode)
            if name == "flow":
                end_servers("flow-right")
    finally:
        for command in after:
            run_as_user(command)
    assert ip("netns", "list").split() == []


def assert_counted(it: Instance, mode: str) -> None:
    """Assert that the counters show the commands' traffic."""
    if mode == "txonly":
        counters = it.wait(lambda now: now.counters.tx_packets > 1000, "packets sent").counters
        assert counters.generated_packets > 0
        return
    counters = it.settled(received=PINGS if mode == "rxonly" else 1).counters
    assert counters.rx_packets > 0
    if mode == "rxonly":
        assert counters.drops["rx_only"] == counters.rx_packets >= PINGS
    elif mode == "macswap":
        assert counters.tx_packets == counters.rx_packets
    else:
        assert counters.tx_packets > 0


def end_servers(netns: str) -> None:
    for pid in ip("netns", "pids", netns).split():
        os.kill(int(pid), signal.SIGKILL)

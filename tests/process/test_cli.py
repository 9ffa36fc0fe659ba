# SPDX-License-Identifier: Apache-2.0
"""The command line: exit codes, detached instances, completion, the schema. A user's mistake gets one
readable
answer and a documented exit code, never a traceback."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.capabilities import missing
from tests.support.commands import COMMAND_TIMEOUT_S, run, unique
from tests.support.instance import TTFWD, instance, private_environment

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
ESCAPE = "\x1b"

BAD = """\
queues = 0
batch = 1000
mode = "router"
colour = "red"
[[port]]
name = "a/b"
mtu = 1
[[port]]
name = "x0"
address = ["10.0.0.1"]
"""
BAD_KEYS = ("queues", "batch", "mode", "colour", "port[0].name", "port[0].mtu", "port[1].address[0]")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return private_environment(tmp_path / "run")


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    path = tmp_path / "bad.toml"
    path.write_text(BAD)
    return path


@pytest.mark.parametrize("command", [["check"], ["start", "-c"], ["start", "--detach", "-c"]])
def test_every_error_of_a_file_at_once(bad: Path, environment: dict[str, str], command: list[str]) -> None:
    done = run(TTFWD, *command, bad, code=2, env=environment)
    assert done.stdout == ""
    for key in BAD_KEYS:
        assert re.search(rf"^{re.escape(f'{bad}: {key}: ')}\S", done.stderr, re.MULTILINE), (key, done.stderr)
    assert "Traceback" not in done.stderr
    assert not Path(environment["TTFWD_RUNTIME_DIR"]).exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["start"], "--config"),
        (["start", "-c", "/does/not/exist.toml"], "/does/not/exist.toml"),
        (["start", "-c", "/"], "/"),
        (["check", "/does/not/exist.toml"], "/does/not/exist.toml"),
        (["check"], "FILE"),
        (["start", "-c", "/dev/null", "--name", "no good"], "no good"),
        (["start", "-c", "/dev/null", "--name", "../x"], "../x"),
        (["nope"], "nope"),
        (["stats", "--nope"], "--nope"),
        (["connect"], "PORT"),
        (["delete"], "PORT"),
        (["stop", "--timeout", "-1"], "-1"),
        (["stop", "--timeout", "nan"], "nan"),
        (["stop", "--timeout", "inf"], "inf"),
        (["stats", "--interval", "nan"], "nan"),
        (["completion", "tcsh"], "tcsh"),
    ],
)
def test_usage_errors_are_2(environment: dict[str, str], words: list[str], says: str) -> None:
    done = run(TTFWD, *words, code=2, env=environment)
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_check_of_the_configurations_that_come_with_it(environment: dict[str, str]) -> None:
    for path in sorted(CONFIGS.glob("*.toml")):
        done = run(TTFWD, "check", path, env=environment)
        assert f"{path}: valid: " in done.stdout


def test_a_detached_instance_comes_up_and_goes(tmp_path: Path, environment: dict[str, str]) -> None:
    name, netns = unique("t"), unique("td")
    config = tmp_path / "c.toml"
    config.write_text(f'name = "{name}"\nmode = "rxonly"\n[[port]]\nname = "d0"\nnetns = "{netns}"\n')
    began = run(TTFWD, "start", "-c", config, "--detach", env=environment)
    assert began.stderr == ""
    found = re.fullmatch(rf'instance "{name}" runs: process (\d+), log (\S+)\n', began.stdout)
    assert found is not None, began.stdout
    pid, log = int(found[1]), Path(found[2])
    try:
        assert os.getsid(pid) == pid  # not of this terminal
        shown = json.loads(run(TTFWD, "stats", "--json", "--name", name, env=environment).stdout)
        assert shown["instance"]["supervisor_pid"] == pid
    finally:
        ended = run(TTFWD, "stop", "--name", name, "--timeout", "0.5", env=environment)
    assert ended.stdout == f'instance "{name}" stopped\n'
    assert not Path(f"/proc/{pid}").exists() or Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"
    assert "every packet is accounted for" in log.read_text()
    assert "Traceback" not in log.read_text()
    assert ESCAPE not in log.read_text()
    run(TTFWD, "stop", "--name", name, code=3, env=environment)
    assert not Path(f"/run/netns/{netns}").exists()


def test_output_has_no_colour_where_it_is_no_terminal_or_unwanted() -> None:
    with instance('queues = 1\nmode = "rxonly"\n') as it:
        assert ESCAPE not in it.cli("stats", "--interval", "0.05").stdout
        # A terminal where the user turned colours off: NO_COLOR (no-color.org).
        script = f"stty cols 200; exec {TTFWD} stats --interval 0.05 --name {it.name}"
        plain = run(
            "script", "-qec", script, "/dev/null", env={**it.environment, "NO_COLOR": "1", "TERM": "xterm"}
        )
        assert it.name in plain.stdout
        assert re.search(r"\x1b\[[0-9;]*3[0-7]m", plain.stdout) is None


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(environment: dict[str, str], shell: str) -> None:
    script = run(TTFWD, "completion", shell, env=environment).stdout
    assert "_TTFWD_COMPLETE" in script
    if shell == "bash":
        done = run("bash", "-euc", 'source /dev/stdin <<< "$0"; complete -p ttfwd', script, env=environment)
        assert done.stderr == ""
        assert "ttfwd" in done.stdout


def test_completion_offers_the_commands(environment: dict[str, str]) -> None:
    asked = {**environment, "_TTFWD_COMPLETE": "bash_complete", "COMP_WORDS": "ttfwd st", "COMP_CWORD": "1"}
    offered = run(TTFWD, env=asked, code=None).stdout
    assert {"start", "stop", "stats"} <= {line.partition(",")[2] for line in offered.splitlines()}


def test_the_schema_is_one(environment: dict[str, str]) -> None:
    schema = json.loads(run(TTFWD, "schema", env=environment).stdout)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["additionalProperties"] is False
    port = schema["$defs"][schema["properties"]["port"]["items"]["$ref"].rpartition("/")[2]]
    for path in sorted(CONFIGS.glob("*.toml")):
        config = tomllib.loads(path.read_text())
        assert config.keys() <= schema["properties"].keys()
        for table in config.get("port", []):
            assert table.keys() <= port["properties"].keys()
            assert set(port["required"]) <= table.keys()


def test_a_cpu_that_was_taken_away_is_refused(tmp_path: Path, environment: dict[str, str]) -> None:
    first, *others = sorted(os.sched_getaffinity(0))
    if not others:
        missing("two CPUs")
    config = tmp_path / "c.toml"
    config.write_text(f'mode = "rxonly"\ncpus = "{others[0]}"\n')
    done = run("taskset", "-c", str(first), TTFWD, "start", "-c", config, code=2, env=environment)
    assert done.stderr.startswith(f"{config}: cpus: ")
    assert str(others[0]) in done.stderr
    assert done.stderr.count("\n") == 1


def test_version_and_help(environment: dict[str, str]) -> None:
    found = json.loads(run(TTFWD, "version", "--json", env=environment).stdout)
    assert found["abi_version"] >= 1
    line = f"ttfwd {found['ttfwd']} (ABI {found['abi_version']}), built from {found['built_from']}\n"
    for words in (("version",), ("--version",)):
        assert run(TTFWD, *words, env=environment).stdout == line
    listed = run(TTFWD, "--help", env=environment).stdout
    for command in (
        "start",
        "stop",
        "connect",
        "delete",
        "stats",
        "list",
        "export",
        "check",
        "schema",
        "version",
        "completion",
    ):
        assert command in listed


@pytest.fixture
def closed_pipe() -> Iterator[int]:
    """The write end of a pipe without a reader."""
    read_fd, write_fd = os.pipe()
    os.close(read_fd)
    yield write_fd
    os.close(write_fd)


def test_a_reader_that_went_away_is_no_crash(environment: dict[str, str], closed_pipe: int) -> None:
    """`ttfwd schema | head -0`, and `ttfwd schema` to a full disk."""
    with Path("/dev/full").open("w") as full:
        for stdout in (closed_pipe, full.fileno()):
            done = subprocess.run(
                [TTFWD, "schema"],
                stdout=stdout,
                stderr=subprocess.PIPE,
                text=True,
                env=environment,
                timeout=COMMAND_TIMEOUT_S,
            )
            assert "Traceback" not in done.stderr
            assert done.returncode == 1

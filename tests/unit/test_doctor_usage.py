# SPDX-License-Identifier: Apache-2.0
"""Mistakes of a user of `ttfwd doctor`: a readable answer and a documented exit code."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from forwarder.cli.commands import main


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--for", "fun"], 2, "throughput"),
        (["--cpus", "9000"], 2, "--cpus: CPU 9000 is too large"),
        (["--cpus", "8000"], 2, "--cpus: CPU 8000 doesn't exist"),
        (["--cpus", ""], 2, "--cpus: an item is empty"),
        (["--port", "nosuch0"], 1, 'there is no network device "nosuch0"'),
        (["--port", "nosuch/lo"], 1, 'network namespace "nosuch" doesn\'t exist'),
        (["--port", "a/b/c"], 2, "NETNS/DEVICE"),
        (["--name", "nosuch"], 3, 'instance "nosuch" is not running'),
        (["--script", "--json"], 2, "--script goes without"),
        (["--compare", "/nosuch"], 2, "/nosuch: no such file"),
    ],
)
def test_mistakes(words: list[str], code: int, says: str) -> None:
    done = CliRunner().invoke(main, ["doctor", *words])
    assert done.exit_code == code
    assert says in done.stderr
    assert done.stdout == ""

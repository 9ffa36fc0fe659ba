# SPDX-License-Identifier: Apache-2.0
"""What stands in front of all instances of the host: `ttfwd export prometheus`, and `ttfwd list`."""

from __future__ import annotations

import json
import os
import socket
from contextlib import ExitStack
from pathlib import Path

from tests.process.topology import Pair
from tests.support.commands import run
from tests.support.instance import TTFWD, instance
from tests.support.monitoring import RULES, promtool
from tests.support.netns import namespace


def test_promtool_finds_no_fault(pair: Pair, tmp_path: Path) -> None:
    promtool("check", "rules", RULES)
    with instance(pair.config()) as lab:
        file = tmp_path / "ttfwd.prom"
        run(TTFWD, "export", "prometheus", "--textfile", file)
        assert list(tmp_path.iterdir()) == [file]
        printed = run(TTFWD, "export", "prometheus").stdout
        assert f'ttfwd="{lab.name}"' in printed
        for text in (file.read_text(), printed):
            assert promtool("check", "metrics", input=text).stdout == ""


def test_what_cant_be_listened_on_or_written_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        failed = run(TTFWD, "export", "prometheus", "--listen", where, code=1)
        assert failed.stderr == f"ttfwd: {where}: can't listen: Address already in use\n"
    failed = run(TTFWD, "export", "prometheus", "--textfile", tmp_path / "no" / "file", code=1)
    assert failed.stderr == f"ttfwd: {tmp_path}/no/file: can't be written: No such file or directory\n"
    for path in (tmp_path, Path("")):
        failed = run(TTFWD, "export", "prometheus", "--textfile", path, code=1)
        assert failed.stderr.endswith("can't be replaced: it is no regular file\n")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    failed = run(TTFWD, "export", "prometheus", "--textfile", pipe, code=1)
    assert failed.stderr == f"ttfwd: {pipe}: can't be replaced: it is no regular file\n"
    assert pipe.is_fifo()
    failed = run(TTFWD, "export", "prometheus", "--listen", "nowhere", code=2)
    assert "'nowhere' is not ADDR:PORT" in failed.stderr


def test_the_list_shows_the_living_and_the_dead_and_chooses_the_living() -> None:
    config = 'mode = "rxonly"\n[[port]]\nname = "s0"\nnetns = "%s"\ndriver = "tap"\n'
    with ExitStack() as stack:
        left, right, other = (stack.enter_context(namespace()) for _ in range(3))
        living = stack.enter_context(instance(Pair(left, right).config()))
        dead = stack.enter_context(instance(config % other))
        dead.expect_crash()
        dead.process.kill()
        dead.process.wait(60)
        listed = json.loads(run(TTFWD, "list", "--json").stdout)
        found = {it["name"]: it for it in listed if it["name"] in (living.name, dead.name)}
        assert found[living.name]["state"] == "running"
        assert found[living.name]["ports"] == ["t0", "t1"]
        assert found[living.name]["mode"] == "xconnect"
        assert found[dead.name]["state"] == "dead"
        assert f"{dead.name} " in run(TTFWD, "list").stdout
        # The runtime directory of the living one has no other.
        for words in ((), ("--name", dead.name)):
            printed = run(TTFWD, "stats", "--json", *words, env=living.environment).stdout
            shown = json.loads(printed)["instance"]
            assert (shown["name"] == living.name) == shown["supervisor_alive"] == (not words)
        # That of the dead one has none that lives.
        refused = run(TTFWD, "stats", env=dead.environment, code=3).stderr
        assert refused.startswith("ttfwd: no instance is running; --name shows the counters of ")
        assert dead.name in refused

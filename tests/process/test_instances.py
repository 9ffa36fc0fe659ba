# SPDX-License-Identifier: Apache-2.0
"""Several instances on one machine are independent: names, counters, devices and ends."""

from __future__ import annotations

from tests.process.topology import Pair
from tests.process.traffic import Sink, Source
from tests.support.commands import run, unique
from tests.support.instance import TTFWD, instance
from tests.support.netns import namespace

PACKETS = 1_600


def test_two_instances_side_by_side(pair: Pair) -> None:
    with namespace() as left, namespace() as right, instance(pair.config()) as one:
        other_pair, other = Pair(left, right), unique("t")
        config = one.directory / "other.toml"
        config.write_text(other_pair.config())
        run(TTFWD, "start", "-c", config, "--name", other, "--detach", env=one.environment)
        with (
            Sink(pair.right, "t1") as first_sink,
            Sink(right, "t1") as second_sink,
            Source(pair.left, "t0", rate=2_000, limit_packets=PACKETS, stream=1) as first,
            Source(left, "t0", rate=2_000, limit_packets=2 * PACKETS, stream=2) as second,
        ):
            first.wait()
            second.wait()
            one.settled()
            found = run(TTFWD, "stats", "--json", "--name", other, env=one.environment).stdout
        assert [len(first_sink.received.of(stream)) for stream in (1, 2)] == [PACKETS, 0]
        assert [len(second_sink.received.of(stream)) for stream in (1, 2)] == [0, 2 * PACKETS]
        assert one.stats().counters.rx_packets == PACKETS
        assert f'"received_packets": {2 * PACKETS}' in found

        # Without --name a command can't choose: it says so, and names both.
        for words in (["stop"], ["connect", "x0"], ["delete", "t0"], ["stats"]):
            done = run(TTFWD, *words, code=1, env=one.environment)
            assert "choose one with --name" in done.stderr
            assert one.name in done.stderr
            assert other in done.stderr
            assert done.stderr.count("\n") == 1

        run(TTFWD, "stop", "--name", other, env=one.environment)
        assert one.process.poll() is None
        run(TTFWD, "stats", "--name", other, code=3, env=one.environment)
        with Sink(pair.right, "t1") as sink:
            with Source(pair.left, "t0", rate=2_000, limit_packets=PACKETS) as source:
                source.wait()
            one.settled()
        assert sink.received.packets == PACKETS


def test_commands_for_nothing_say_that_nothing_runs(pair: Pair) -> None:
    with instance(pair.config()) as it:
        nobody = unique("nobody")
        for words in (["stop"], ["delete", "t0"], ["connect", "t9"], ["stats"], ["stats", "--json"]):
            done = run(TTFWD, *words, "--name", nobody, code=3, env=it.environment)
            assert nobody in done.stderr
            assert it.name in done.stderr  # the existing instances
            assert done.stderr.count("\n") == 1
            assert done.stdout == ""
        empty = it.directory / "empty"
        for words in (["stop"], ["delete", "t0"], ["connect", "t9"]):
            done = run(TTFWD, *words, code=3, env={**it.environment, "TTFWD_RUNTIME_DIR": str(empty)})
            assert "no instance is running" in done.stderr


def test_statistics_of_ports_and_workers_that_are_not_there(pair: Pair) -> None:
    with instance(pair.config()) as it:
        for words, known in (
            (["--port", "nope"], "t0, t1"),
            (["--port", "t0", "--port", "nope", "--json"], "t0, t1"),
            (["--port", "nope", "--watch"], "t0, t1"),
            (["--worker", "2"], "0, 1"),
            (["--worker", "2", "--watch"], "0, 1"),
            (["--worker", "x"], "not a valid integer"),
            (["--interval", "0"], "range"),
        ):
            done = it.cli("stats", *words, code=2)
            assert known in done.stderr
            assert "Traceback" not in done.stderr
            assert done.stdout == ""
        only = it.stats_json("--port", "t1", "--worker", "1")
        assert [port["name"] for port in only["ports"]] == ["t1"]
        assert [worker["worker"] for worker in only["workers"]] == [1]
        assert [queue["queue"] for queue in only["ports"][0]["queues"]] == [1]

# SPDX-License-Identifier: Apache-2.0
"""The supervisor dies or hangs. If it dies, its workers die and its devices go, the counters stay readable,
and
the next start removes the leftovers. If it only hangs, packets keep flowing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest

from forwarder.stats.accounting import accounting
from tests.process.topology import Pair, link, queue_rx
from tests.process.traffic import Sink, Source, assert_in_order
from tests.support.commands import COMMAND_TIMEOUT_S, ip, run, unique
from tests.support.instance import STOP_TIMEOUT_S, TTFWD, Instance, instance
from tests.support.netns import device_exists, namespace, namespace_exists
from tests.support.shm import segments_of
from tests.support.wait import wait_until


def wait_until_gone(it: Instance, workers: Sequence[psutil.Process] = ()) -> None:
    """Every process of the instance. A dead supervisor stays a zombie until it is waited for."""
    it.process.wait(STOP_TIMEOUT_S)
    wait_until(lambda: not it.processes() and not any(map(lives, workers)), "every process is gone")


def wait_until_no_device(netns: str, name: str) -> None:
    """An exiting process loses its environment a moment before its files are closed."""
    wait_until(lambda: not device_exists(netns, name), f"device {name} is gone")


def lives(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def start_again(it: Instance, config: Path | None = None) -> str:
    """Start the same instance again in the background. Returns its log."""
    config = config or it.directory / "config.toml"
    run(TTFWD, "start", "-c", config, "--name", it.name, "--detach", env=it.environment)
    return (it.directory / f"{it.name}.log").read_text()


def stop_again(it: Instance) -> str:
    run(TTFWD, "stop", "--name", it.name, env=it.environment)
    return (it.directory / f"{it.name}.log").read_text()


def made_by_itself() -> tuple[str, str]:
    """A configuration whose namespace the instance must make, and the namespace's name."""
    netns = unique("tm")
    return f'mode = "rxonly"\nqueues = 2\n[[port]]\nname = "m0"\nnetns = "{netns}"\n', netns


def test_a_killed_supervisor_takes_its_workers_and_taps_along_and_the_next_start_sweeps() -> None:
    config, netns = made_by_itself()
    with instance(config) as it:
        it.expect_crash()
        assert device_exists(netns, "m0")
        workers = [psutil.Process(pid) for pid in it.worker_pids()]
        it.process.kill()
        wait_until_gone(it, workers)
        wait_until_no_device(netns, "m0")
        # The kernel doesn't remove the rest, and its content tells what happened.
        assert namespace_exists(netns)
        shown = it.cli("stats")
        assert "The supervisor is dead: nobody restarts workers." in shown.stdout
        found = it.stats_json()
        assert found["instance"]["supervisor_alive"] is False
        assert found["instance"]["supervisor_pid_exists"] is False
        assert found["accounting"]["closes"] is True
        done = it.cli("stop", code=3)
        assert done.stderr.startswith("ttfwd: ")
        assert it.name in done.stderr
        assert done.stderr.count("\n") == 1
        it.cli("connect", "m1", code=3)
        it.cli("delete", "m0", code=3)

        log = start_again(it)
        assert f"left over from a crash, removed: shared memory /ttfwd.{it.name}.stats" in log
        assert f'left over from an earlier start, undone: network namespace "{netns}"' in log
        assert device_exists(netns, "m0")
        again = it.stats_json()
        assert again["instance"]["supervisor_alive"] is True
        assert again["instance"]["epoch"] != found["instance"]["epoch"]
        log = stop_again(it)
        assert "Traceback" not in log
        assert not namespace_exists(netns)
        assert segments_of(it.name) == []
        assert sorted(path.suffix for path in it.directory.glob(f"{it.name}.*")) == [".lock", ".log"]


def test_everything_killed_at_once_and_a_clean_start(pair: Pair) -> None:
    with instance(pair.config()) as it, Source(pair.left, "t0", rate=4_000, limit_s=30):
        it.expect_crash()
        it.wait(lambda s: s.counters.tx_packets > 200, "traffic")
        for process in it.processes():
            process.kill()
        wait_until_gone(it)
        log = start_again(it)
        assert f"shared memory /ttfwd.{it.name}.stats" in log
        with Sink(pair.right, "t1") as sink, Source(pair.left, "t0", rate=2_000, limit_packets=1_600) as more:
            more.wait()
            wait_until(lambda: it.stats_json()["total"]["tx_packets"] == 1_600, "all packets were sent on")
        assert sink.received.packets == more.result.accepted_packets == 1_600
        assert "every packet is accounted for" in stop_again(it)
        assert segments_of(it.name) == []


def test_a_link_that_a_dead_instance_raised_is_set_down_again(tmp_path: Path) -> None:
    """A packet port's device belongs to the user: after a crash it must be restored."""
    with namespace() as netns:
        ip("link", "add", "v0", "type", "veth", "peer", "name", "v1", netns=netns)
        config = f'mode = "rxonly"\n[[port]]\nname = "v0"\ndriver = "packet"\nnetns = "{netns}"\n'
        with instance(config) as it:
            it.expect_crash()
            assert "UP" in str(link(netns, "v0")["flags"])
            it.process.kill()
            wait_until_gone(it)
            assert "UP" in str(link(netns, "v0")["flags"])
            empty = tmp_path / "empty.toml"
            empty.write_text("queues = 1\n")
            log = start_again(it, empty)
            assert f'undone: device "v0" in network namespace "{netns}": link down again' in log
            assert "'UP'" not in str(link(netns, "v0")["flags"])
            stop_again(it)


def test_packets_flow_and_stats_answer_while_the_supervisor_hangs(pair: Pair) -> None:
    with instance(pair.config()) as it, Sink(pair.right, "t1") as sink:
        pair.lengthen_queues()
        with Source(pair.left, "t0", rate=2_000) as source:
            it.wait(lambda s: all(queue_rx(s, "t0", q) > 50 for q in (0, 1)), "traffic")
            os.kill(it.process.pid, signal.SIGSTOP)
            try:
                before = it.stats().counters.tx_packets
                it.wait(lambda s: s.counters.tx_packets > before + 2_000, "workers continue alone")
                shown = it.cli("stats", "--interval", "0.1").stdout
                assert it.name in shown
                assert "every packet is accounted for" in shown or "in flight" in shown
                found = it.stats_json()
                assert found["instance"]["supervisor_pid_exists"] is True
                assert found["total"]["tx_packets_per_s"] > 0
                assert_watch_follows(it)
            finally:
                os.kill(it.process.pid, signal.SIGCONT)
        it.settled()
    assert sink.received.packets == source.result.accepted_packets == source.result.offered_packets
    assert_in_order(sink.received.of())


def assert_watch_follows(it: Instance) -> None:
    """`stats --watch --json` prints a line per interval until Ctrl-C, then exits with 0."""
    watching = subprocess.Popen(
        [TTFWD, "stats", "--name", it.name, "--watch", "--json", "--interval", "0.1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=it.environment,
    )
    assert watching.stdout is not None
    looks = [json.loads(watching.stdout.readline())["total"]["tx_packets"] for _ in range(3)]
    watching.send_signal(signal.SIGINT)
    _, said = watching.communicate(timeout=COMMAND_TIMEOUT_S)
    assert looks[0] < looks[1] < looks[2]
    assert (watching.returncode, said) == (0, "")


def test_an_instance_that_was_frozen_goes_on_as_it_was(pair: Pair) -> None:
    """As a suspended virtual machine or a frozen container: heartbeats are old, and nobody hangs."""
    with instance(pair.config(heartbeat_timeout_ms=3_000)) as it:
        pids = it.worker_pids()
        for pid in (*pids, it.process.pid):
            os.kill(pid, signal.SIGSTOP)
        time.sleep(3.5)
        before = it.stats().workers
        for pid in (it.process.pid, *pids):  # it looks before they beat
            os.kill(pid, signal.SIGCONT)
        it.wait(
            lambda s: all(map(lambda a, b: b.running_ns > a.running_ns + 10**9, before, s.workers)),
            "they have run for a while",
        )
        assert it.worker_pids() == pids
        it.stop()
        assert "hangs" not in it.log


@pytest.mark.parametrize("steering", ["queue", "flow"])
def test_a_stop_with_a_hung_worker_ends_in_time_and_names_what_its_queue_held(
    pair: Pair, steering: str
) -> None:
    config = pair.config(steering=steering, drain_timeout_ms=300, heartbeat_timeout_ms=60_000)
    with instance(config) as it:
        pair.lengthen_queues()
        with Sink(pair.right, "t1") as sink:
            with Source(pair.left, "t0", rate=4_000) as source:
                it.wait(lambda s: all(queue_rx(s, "t0", q) > 50 for q in (0, 1)), "traffic")
                os.kill(it.worker_pids()[0], signal.SIGSTOP)
                before = queue_rx(it.stats(), "t0", 1)
                it.wait(lambda s: queue_rx(s, "t0", 1) > before + 1_000, "the other worker continues")
            final = it.stop()
        assert it.process.returncode == 0
    closing = accounting(final)
    assert closing.closes
    assert closing.waiting_packets == 0  # no worker sends the packets in rings to the hung worker
    assert closing.dropped_packets["shutdown"] > 0
    if steering == "flow":
        assert sum(worker.orphans.drops["shutdown"] for worker in final.workers) > 0
    # At most one burst may be missing: one that the hung worker had received and not yet counted.
    assert 0 <= source.result.accepted_packets - closing.received_packets <= 64
    lost = sum(worker.lost_in_crash_packets for worker in final.workers)
    assert closing.sent_packets <= sink.received.packets <= closing.sent_packets + lost

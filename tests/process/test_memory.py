# SPDX-License-Identifier: Apache-2.0
"""A worker may spoil what it may write, and no more. The supervisor survives, names it and replaces it, and
the other queues never stop. Nothing waits for a worker that is away.

The tests write into the memory of a running instance, as root.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from forwarder.native import lib
from forwarder.stats.accounting import accounting
from forwarder.stats.snapshot import Snapshot
from tests.process.topology import Pair, is_ready, queue_rx, standbys_of
from tests.process.traffic import Sink, Source, assert_in_order
from tests.support.commands import run
from tests.support.instance import TTFWD, Instance, instance, private_environment
from tests.support.processes import open_files
from tests.support.shm import memory_of, writable_stats
from tests.support.wait import wait_until

_LINE_PAIR = 128
_SPOILT = "not exact: counters were damaged"
_CLOSES = "every packet is accounted for"


def both_forward(it: Instance, more: int = 100) -> Snapshot:
    start = [queue_rx(it.stats(), "t0", q) for q in (0, 1)]
    return it.wait(lambda s: all(queue_rx(s, "t0", q) > start[q] + more for q in (0, 1)), "both forward")


def tail_at(snapshot: Snapshot, producer: int, consumer: int) -> int:
    """Where the tail of a ring lies in the rings segment."""
    area = lib.ttf_rings_area(len(snapshot.workers), snapshot.instance.ring_slots, producer)
    return area.offset + _LINE_PAIR * (1 + consumer)


def test_a_ring_that_makes_no_sense_is_named_and_both_ends_are_replaced(pair: Pair) -> None:
    with instance(pair.config(steering="flow")) as it, Sink(pair.right, "t1"):
        with Source(pair.left, "t0", rate=4_000):
            before = it.wait(
                lambda s: any(r.popped_packets > 100 for r in s.rings if r.producer == 1), "rings"
            )
            (path,) = memory_of(it.process.pid, "handoff rings")
            fd = os.open(path, os.O_RDWR)
            at = tail_at(before, 1, 0)
            tail = int.from_bytes(os.pread(fd, 4, at), "little")
            os.pwrite(fd, ((tail + 0x40000000) % 2**32).to_bytes(4, "little"), at)
            os.close(fd)
            it.wait(lambda s: all(is_ready(s, w, 1) for w in (0, 1)), "both ends are replaced")
            both_forward(it)
        it.settled()
        it.stop()
        assert "handoff ring 1 -> 0 is malformed (reclaimed " in it.log
        assert "worker 0 died: killed because handoff ring 1 -> 0 is malformed" in it.log
        assert _CLOSES in it.output


@pytest.mark.parametrize("dies", [False, True], ids=["lives", "dies"])
def test_spoilt_counters_are_named_and_nothing_is_said_to_be_exact(pair: Pair, dies: bool) -> None:
    with instance(pair.config()) as it, Sink(pair.right, "t1"):
        it.expect_damage()
        with Source(pair.left, "t0", rate=4_000):
            before = both_forward(it)
            with writable_stats(it.name) as base:
                # The worker doesn't write this one meanwhile.
                lib.ttf_stats_queue(base, 0, 1).drops[lib.TTF_DROP_TX_ERROR] = 2**63 + 1
            if dies:
                with suppress(ProcessLookupError):
                    os.kill(before.workers[1].pid, signal.SIGKILL)
            it.wait(lambda s: is_ready(s, 1, 1), "it is replaced")
            assert it.stats().workers[0].restarts == 0
            after = both_forward(it)
            assert after.counters.dropped_packets < 2**40
        it.wait(lambda s: s.instance.damaged == 1, "it is said")
        assert it.stats_json()["accounting"]["exact"] is False
        assert _SPOILT in it.cli("stats").stdout
        final = it.stop()
        assert "worker 1 spoilt its counters: tx_error of port id 0 was 0x8000000000000001" in it.log
        assert _SPOILT in it.output
        assert _CLOSES not in it.output
        assert final.workers[1].lost_in_crash_packets < 10_000


def test_flows_of_a_worker_that_is_away_go_on(pair: Pair) -> None:
    """Both directions of each flow meet on the worker that lives, and nothing waits or is lost in silence."""
    with instance(pair.config(steering="flow")) as it:
        it.wait(lambda _: len(standbys_of(it)) == 1, "a standby")
        (replacement,) = standbys_of(it)
        os.kill(replacement, signal.SIGSTOP)
        try:
            os.kill(it.stats().workers[1].pid, signal.SIGKILL)
            wait_until(lambda: "worker 1 starts slowly" in it.log, "it is away")
            before = it.stats()
            there = {"rate": 2_000, "limit_packets": 1_600}
            with (
                Sink(pair.right, "t1") as sink,
                Source(pair.left, "t0", **there) as source,  # type: ignore[arg-type]
            ):
                source.wait()
                after = it.settled(received=before.counters.rx_packets + 1_600)
            assert after.workers[1].state == "starting"
        finally:
            os.kill(replacement, signal.SIGCONT)
        arrivals = sink.received.of()
        assert len(arrivals) == 1_600
        assert len({arrival.flow for arrival in arrivals}) == 16
        assert_in_order(arrivals)
        assert accounting(after).waiting_packets == 0
        assert after.counters.dropped_packets == before.counters.dropped_packets
        it.wait(lambda s: is_ready(s, 1, 1), "it is back")


# ------------------------------------------------------------------------------- what a worker can reach


def test_a_worker_can_write_its_own_part_of_the_memory_and_has_no_way_to_more(pair: Pair) -> None:
    with instance(pair.config()) as it:
        found = it.stats()
        workers, slots = len(found.workers), found.instance.ring_slots
        for worker in found.workers:
            writable: dict[str, int] = {}
            for line in Path(f"/proc/{worker.pid}/maps").read_text().splitlines():
                addresses, access, *_, name = line.split(maxsplit=5)
                if access[1] == "w" and "ttfwd" in name and access[3] == "s":
                    begin, end = (int(address, 16) for address in addresses.split("-"))
                    writable[name] = writable.get(name, 0) + end - begin
            stats = writable.pop(f"/dev/shm/ttfwd.{it.name}.stats")
            assert stats == lib.ttf_stats_area(workers, lib.TTF_MAX_PORTS, worker.index).bytes
            areas = (lib.ttf_fdb_area(workers), lib.ttf_rings_area(workers, slots, worker.index))
            rings = writable.pop("/memfd:ttfwd the memory of the handoff rings (deleted)")
            assert rings == sum(area.bytes for area in areas)
            assert set(writable) == {
                f"/memfd:ttfwd the {own} of worker {worker.index} (deleted)"
                for own in ("frame pool", "capture memory")
            }
            segments = ("/memfd:", "/dev/shm/")
            files = open_files(worker.pid).values()
            assert not [file for file in files if file.startswith(segments)], "no fd is left"


def test_nobody_can_change_the_size_of_rings_pools_and_captures(pair: Pair) -> None:
    with instance(pair.config()) as it:
        paths = memory_of(it.process.pid, "")
        assert len(paths) == 5
        for path in paths:
            for size in (0, path.stat().st_size + 4096):
                with pytest.raises(PermissionError) as refused, path.open("r+b") as file:
                    file.truncate(size)
                assert refused.value.errno == errno.EPERM


_FILLED = """
mount -t tmpfs -o size=1M none /dev/shm || exit 1
"$0" start -c "$1" --name "$2" --detach || exit 2
dd if=/dev/zero of=/dev/shm/full bs=4k 2>/dev/null
"$0" stats --json --interval 0.05 --name "$2" | "$3" -c '
import json, os, signal, sys
for worker in json.load(sys.stdin)["workers"]:
    os.kill(worker["pid"] or sys.exit("dead"), signal.SIGKILL)' || exit 3
until "$0" stats --json --interval 0.05 --name "$2" | grep -q '"restarts": 1, .*"restarts": 1,'
do sleep 0.1; done
"$0" connect late --driver tap --name "$2" && "$0" delete late --name "$2" || exit 4
"$0" stop --name "$2"
"""


def test_a_full_dev_shm_disturbs_nothing(tmp_path: Path) -> None:
    config, name = tmp_path / "config.toml", f"full-{os.getpid()}"
    config.write_text(f'mode = "rxonly"\nqueues = 2\n[[port]]\nname = "f{os.getpid()}"\ndriver = "tap"\n')
    script = ("unshare", "-mn", "sh", "-c", _FILLED, TTFWD, config, name, sys.executable)
    run(*script, env=private_environment(tmp_path))
    log = (tmp_path / f"{name}.log").read_text()
    assert log.count("runs again") == 2
    assert "Bus error" not in log
    assert _CLOSES in log

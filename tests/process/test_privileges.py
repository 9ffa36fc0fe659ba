# SPDX-License-Identifier: Apache-2.0
"""A compromised worker can do little: it runs as nobody, has no capability and can't get one. Each worker
stays
on its CPU. None outlives its supervisor (test_supervisor.py)."""

from __future__ import annotations

from pathlib import Path

import psutil

from tests.process.topology import Pair
from tests.support.instance import instance

NOBODY = 65534


def status(pid: int) -> dict[str, list[str]]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {key: value.split() for key, _, value in (line.partition(":") for line in lines)}


def test_workers_have_no_privileges_and_stay_on_their_cpu(pair: Pair) -> None:
    with instance(pair.config(queues=3)) as it:
        for worker in it.stats().workers:
            found = status(worker.pid)
            for ids in ("Uid", "Gid"):
                assert found[ids] == [str(NOBODY)] * 4, ids
            assert found["Groups"] == []
            for capabilities in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
                assert int(found[capabilities][0], 16) == 0, capabilities
            assert found["NoNewPrivs"] == ["1"]
            assert found["Cpus_allowed_list"] == [str(worker.cpu)]
            assert found["PPid"] == [str(it.process.pid)]


def test_a_replacement_has_no_more_privileges_than_the_first(pair: Pair) -> None:
    with instance(pair.config()) as it:
        first = it.stats().workers[0]
        psutil.Process(first.pid).kill()
        after = it.wait(
            lambda s: s.workers[0].restarts == 1 and s.workers[0].state == "ready" and s.workers[0].pid > 1,
            "the worker is replaced",
        ).workers[0]
        found = status(after.pid)
        assert found["Uid"] == [str(NOBODY)] * 4
        assert int(found["CapPrm"][0], 16) == int(found["CapBnd"][0], 16) == 0
        assert found["NoNewPrivs"] == ["1"]
        assert found["Cpus_allowed_list"] == [str(first.cpu)]


def test_a_worker_holds_nothing_but_its_own_queues(pair: Pair) -> None:
    """A worker has no fd of another worker's tap queue, of a device or of the supervisor's sockets."""
    with instance(pair.config(queues=2)) as it:
        for worker in it.stats().workers:
            files = [path.readlink() for path in Path(f"/proc/{worker.pid}/fd").iterdir()]
            assert sum(str(file) == "/dev/net/tun" for file in files) == 2  # one queue of each port
            assert sum(str(file).startswith("socket:") for file in files) == 1  # the channel
            assert not any(str(file).endswith((".lock", ".journal")) for file in files)

# SPDX-License-Identifier: Apache-2.0
"""A compromised worker can do little: its instance has a user that nobody else has, and it has no capability
and can't get one. Each worker stays on its CPU. None outlives its supervisor (test_supervisor.py)."""

from __future__ import annotations

import pwd
from pathlib import Path

import psutil
import pytest

from forwarder.stats.reader import StatsReader
from tests.process.topology import Pair, is_ready
from tests.support.commands import run, unique
from tests.support.instance import TTFWD, Instance, instance, private_environment


def status(pid: int) -> dict[str, list[str]]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {key: value.split() for key, _, value in (line.partition(":") for line in lines)}


def oom_score_adj(pid: int) -> int:
    return int(Path(f"/proc/{pid}/oom_score_adj").read_text())


def user_of(it: Instance) -> int:
    """The one user of its workers."""
    (user,) = {int(id_) for pid in it.worker_pids() for id_ in status(pid)["Uid"]}
    return user


def assert_no_privileges(pid: int, user: int, cpu: int) -> None:
    found = status(pid)
    for ids in ("Uid", "Gid"):
        assert found[ids] == [str(user)] * 4, ids
    assert found["Groups"] == []
    for capabilities in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(found[capabilities][0], 16) == 0, capabilities
    assert found["NoNewPrivs"] == ["1"]
    assert found["Seccomp"] == ["2"]
    assert found["Cpus_allowed_list"] == [str(cpu)]


def test_workers_have_no_privileges_and_stay_on_their_cpu(pair: Pair) -> None:
    with instance(pair.config(queues=2)) as it:
        user = user_of(it)
        assert user not in {account.pw_uid for account in pwd.getpwall()}
        for worker in it.stats().workers:
            assert_no_privileges(worker.pid, user, worker.cpu)
            assert status(worker.pid)["PPid"] == [str(it.process.pid)]
            # The kernel, out of memory, ends a worker before the supervisor.
            assert oom_score_adj(worker.pid) > oom_score_adj(it.process.pid)
        # A replacement has no more.
        first = it.stats().workers[0]
        psutil.Process(first.pid).kill()
        after = it.wait(lambda s: is_ready(s, 0, 1), "the worker is replaced").workers[0]
        assert_no_privileges(after.pid, user, first.cpu)


def test_no_two_instances_share_a_user(pair: Pair) -> None:
    alone = 'mode = "rxonly"\nqueues = 1\n[[port]]\nname = "u{}"\ndriver = "tap"\n'
    with instance(alone.format(0)) as one, instance(alone.format(1)) as other:
        assert user_of(one) != user_of(other)


def test_the_environment_says_nothing_to_workers(
    pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PYTHONPATH brings no code into a process that begins as root."""
    (tmp_path / "faulthandler.py").write_text("raise SystemExit('not what a worker should import')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with instance(pair.config()) as it:
        for pid in it.worker_pids():
            assert psutil.Process(pid).environ() == {}


def test_what_a_container_does_not_permit_is_left_out_and_said(tmp_path: Path) -> None:
    """The capabilities that Docker leaves, and CAP_NET_ADMIN: no namespaces can be made."""
    name, environment = unique("t"), private_environment(tmp_path)
    config = tmp_path / "config.toml"
    left = "chown,dac_override,fowner,fsetid,kill,setgid,setuid,setpcap,net_raw,sys_chroot,mknod,net_admin"
    bounds = ",".join(f"+{capability}" for capability in left.split(","))
    # Without CAP_SYS_ADMIN no namespace of a port can be entered: this one is in the host's.
    config.write_text(f'mode = "rxonly"\nqueues = 1\n[[port]]\nname = "{unique("c")}"\ndriver = "tap"\n')
    confined = ("setpriv", f"--bounding-set=-all,{bounds}")
    run(*confined, TTFWD, "start", "-c", config, "--name", name, "--detach", env=environment)
    try:
        with StatsReader.attach(name) as reader:
            (worker,) = reader.snapshot().workers
        assert int(status(worker.pid)["CapPrm"][0], 16) == 0
        assert status(worker.pid)["Seccomp"] == ["2"]
        assert status(worker.pid)["Uid"] != ["0"] * 4
    finally:
        run(TTFWD, "stop", "--name", name, env=environment)
    log = (tmp_path / f"{name}.log").read_text()
    assert log.count("workers run without what is not permitted here: an empty file system of its own, ") == 1

# SPDX-License-Identifier: Apache-2.0
"""A start that can't succeed ends by itself, reports the error and its place in one line, and leaves nothing:
no device, namespace, shared memory, socket or process."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from forwarder.worker import main as worker_main
from tests.process.topology import Pair
from tests.support.commands import COMMAND_TIMEOUT_S, ip, run, unique
from tests.support.instance import (
    STOP_TIMEOUT_S,
    TTFWD,
    instance,
    is_worker,
    private_environment,
    start_fails,
)
from tests.support.netns import NETNS, device_exists, namespace, namespace_exists
from tests.support.shm import segments_of
from tests.support.wait import wait_until


def processes_of(variable: str, instance: str) -> list[psutil.Process]:
    """The processes whose environment has this variable, and the workers of that instance."""
    found = []
    for process in psutil.process_iter():
        try:
            if variable in process.environ() or is_worker(process, instance):
                found.append(process)
        except psutil.Error:
            continue
    return [process for process in found if process.pid != os.getpid()]


@dataclass(frozen=True)
class Refusal:
    """A configuration, the required last line, and the exit code."""

    config: str
    says: str
    code: int = 1


def one_port(name: str, netns: str, *more: str, queues: int = 2) -> str:
    """A configuration whose first port is valid. The test defines the second."""
    good = f'[[port]]\nname = "ok0"\nnetns = "{unique("tg")}"\n'
    bad = "\n".join(["[[port]]", f'name = "{name}"', f'netns = "{netns}"', *more])
    return f'mode = "rxonly"\nqueues = {queues}\n{good}{bad}\n'


@contextmanager
def non_tap() -> Iterator[Refusal]:
    with namespace() as netns:
        ip("link", "add", "v0", "type", "veth", "peer", "name", "v1", netns=netns)
        yield Refusal(one_port("v0", netns), 'port "v0": a device of that name exists and is not a tap')


@contextmanager
def single_queue_tap() -> Iterator[Refusal]:
    with namespace() as netns:
        ip("tuntap", "add", "dev", "s0", "mode", "tap", netns=netns)
        yield Refusal(
            one_port("s0", netns),
            'tap device "s0": a device of that name exists and is not a multi-queue tap',
        )


@contextmanager
def no_module() -> Iterator[Refusal]:
    config = one_port("x0", unique("tg"), 'driver = "turbotap"')
    yield Refusal(config, 'port "x0": driver turbotap: turbotap.ko is not loaded')


@contextmanager
def broken_namespace() -> Iterator[Refusal]:
    name = unique("tb")
    (NETNS / name).touch()
    try:
        yield Refusal(one_port("x0", name), f'network namespace "{name}" can\'t be entered')
    finally:
        (NETNS / name).unlink()


@contextmanager
def refused_address() -> Iterator[Refusal]:
    with namespace() as netns:
        yield Refusal(
            one_port("x0", netns, 'address = ["fd00::1/64"]'), 'port "x0": fd00::1/64: IPv6 is disabled there'
        )


@contextmanager
def no_such_packet_device() -> Iterator[Refusal]:
    with namespace() as netns:
        yield Refusal(
            one_port("nic0", netns, 'driver = "packet"'),
            f'port "nic0": no such device in network namespace "{netns}"',
        )


@contextmanager
def no_such_packet_namespace() -> Iterator[Refusal]:
    name = unique("tb")
    config = one_port("nic0", name, 'driver = "packet"')
    yield Refusal(config, f'port "nic0": network namespace "{name}" doesn\'t exist')


@contextmanager
def queues_held_by_another() -> Iterator[Refusal]:
    with namespace() as netns:
        config = f'mode = "rxonly"\n[[port]]\nname = "h0"\nnetns = "{netns}"\n'
        with instance(config):
            # The kernel would give a second instance queues, and a part of the first one's packets.
            yield Refusal(one_port("h0", netns), 'port "h0": the tap\'s queues are held by another process')


@pytest.mark.parametrize(
    "setting",
    [
        non_tap,
        single_queue_tap,
        *([] if Path("/dev/net/turbotap").exists() else [no_module]),
        broken_namespace,
        refused_address,
        no_such_packet_device,
        no_such_packet_namespace,
        queues_held_by_another,
    ],
    ids=lambda setting: setting.__name__,
)
def test_a_boot_failure_names_its_reason_and_leaves_nothing(
    setting: Callable[[], AbstractContextManager[Refusal]], monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = f"TTFWD_TEST_{os.getpid()}"
    with setting() as refusal:
        monkeypatch.setenv(mark, "1")
        name = unique("t")
        done = start_fails(refusal.config, name=name)
        assert done.returncode == refusal.code
        assert done.stderr.startswith("ttfwd: " + refusal.says), done.stderr
        assert done.stderr.count("\n") == 1
        assert done.stdout == ""
        assert processes_of(mark, name) == []


def test_a_detached_start_that_fails_says_why_with_the_same_exit_code(tmp_path: Path) -> None:
    with broken_namespace() as refusal:
        done = start_fails(refusal.config, "--detach")
    assert done.returncode == 1
    assert done.stderr.startswith("ttfwd: " + refusal.says), done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("mount", "says"),
    [
        ("size=16k", "can't be made: No space left on device; it needs"),
        ("size=1G,nr_inodes=1", "can't be made: No space left on device"),
        ("ro", "can't be made: Read-only file system"),
    ],
)
def test_shared_memory_that_cannot_be_made(tmp_path: Path, mount: str, says: str) -> None:
    config = tmp_path / "config.toml"
    name, netns = unique("t"), unique("tg")
    config.write_text(f'mode = "rxonly"\n[[port]]\nname = "x0"\nnetns = "{netns}"\n')
    script = f'mount -t tmpfs -o {mount} none /dev/shm || exit; "$0" start -c "$1" --name "$2"; code=$?'
    script += "; ls /dev/shm; exit $code"
    done = run(
        "unshare", "-m", "sh", "-c", script, TTFWD, config, name, code=1, env=private_environment(tmp_path)
    )
    assert says in done.stderr
    assert "/dev/shm" in done.stderr or f"/ttfwd.{name}." in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""  # ls prints nothing: no leftovers
    assert not namespace_exists(netns)


def test_a_worker_that_cannot_start_ends_the_boot(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    name = unique("t")
    config.write_text('mode = "rxonly"\nqueues = 2\n[[port]]\nname = "x0"\n')
    broken = tmp_path / "main.py"
    broken.write_text("raise SystemExit(7)")
    start = f"mount --bind {broken} {worker_main.__file__} && exec {TTFWD} start -c {config} --name {name}"
    done = run("unshare", "-mn", "sh", "-c", start, code=1, env=private_environment(tmp_path))
    assert "could not start: exit code 7" in done.stderr
    assert done.stderr.startswith("ttfwd: worker ")
    assert done.stderr.count("\n") == 1
    assert segments_of(name) == []
    assert not (tmp_path / f"{name}.sock").exists()


def test_root_in_a_user_namespace_that_maps_nobody_else_has_workers_too(tmp_path: Path) -> None:
    """They can't become another user, and run without what that would protect. That is said."""
    config = tmp_path / "config.toml"
    name = unique("t")
    config.write_text('mode = "rxonly"\nqueues = 2\n[[port]]\nname = "x0"\ndriver = "tap"\n')
    environment = private_environment(tmp_path)
    run("unshare", "-rn", TTFWD, "start", "-c", config, "--name", name, "--detach", env=environment)
    run(TTFWD, "stop", "--name", name, env=environment)
    log = (tmp_path / f"{name}.log").read_text()
    assert log.count("workers run as this user: no other one can be used here") == 1
    assert "every packet is accounted for" in log


@pytest.mark.parametrize("descriptors", [9, 14, 20, 30, 40])
def test_too_few_file_descriptors_is_one_line_and_leaves_nothing(tmp_path: Path, descriptors: int) -> None:
    config = tmp_path / "config.toml"
    name, netns = unique("t"), unique("tg")
    config.write_text(f'mode = "rxonly"\nqueues = 4\n[[port]]\nname = "x0"\nnetns = "{netns}"\n')
    done = run(
        *("prlimit", f"--nofile={descriptors}", TTFWD, "start", "-c", config, "--name", name),
        code=1,
        env=private_environment(tmp_path),
    )
    assert "ttfwd: " in done.stderr
    assert "open" in done.stderr  # "Too many open files", "... number of files open"
    assert segments_of(name) == []
    assert not namespace_exists(netns)


def test_a_runtime_directory_too_deep_for_a_socket_is_refused(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    name, netns = unique("t"), unique("tg")
    config.write_text(f'mode = "rxonly"\n[[port]]\nname = "x0"\nnetns = "{netns}"\n')
    deep = tmp_path / ("d" * 120)
    done = run(TTFWD, "start", "-c", config, "--name", name, code=1, env=private_environment(deep))
    assert done.stderr.startswith(f"ttfwd: control socket {deep}/{name}.sock: ")
    assert done.stderr.count("\n") == 1
    assert segments_of(name) == []
    assert not namespace_exists(netns)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_boot_that_is_interrupted_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    config = tmp_path / "config.toml"
    name, netns = unique("t"), unique("tg")
    config.write_text(f'mode = "rxonly"\nqueues = 4\n[[port]]\nname = "x0"\nnetns = "{netns}"\n')
    process = subprocess.Popen(
        [TTFWD, "start", "-c", config, "--name", name],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=private_environment(tmp_path),
    )
    wait_until(lambda: segments_of(name), "the boot made its memory")
    process.send_signal(number)
    _, said = process.communicate(timeout=COMMAND_TIMEOUT_S)
    assert process.returncode in (0, 1)  # 0: it ran before the signal arrived
    assert "Traceback" not in said
    assert process.returncode == 0 or "interrupted before the instance ran" in said
    assert segments_of(name) == []
    assert not namespace_exists(netns)
    assert not device_exists(netns, "x0")
    assert not (tmp_path / f"{name}.sock").exists()


def test_a_second_start_says_that_it_runs_already_and_disturbs_nothing(pair: Pair) -> None:
    with instance(pair.config()) as it:
        before = it.stats()
        config = it.directory / "config.toml"
        more: list[list[str]] = [[], ["--detach"]]
        for words in more:
            done = run(TTFWD, "start", "-c", config, "--name", it.name, *words, code=1, env=it.environment)
            assert done.stderr.count("\n") == 1
            assert f'instance "{it.name}" is already running' in done.stderr
            assert f"process {it.process.pid}," in done.stderr
            assert f"{it.directory}/{it.name}.sock" in done.stderr
        after = it.stats()
        assert it.process.poll() is None
        assert after.instance.epoch == before.instance.epoch
        assert it.worker_pids() == [worker.pid for worker in before.workers]
        assert [worker.restarts for worker in after.workers] == [0, 0]
        it.cli("stats")  # it still has its name, socket and memory
        run(TTFWD, "stop", "--name", it.name, env=it.environment)
        it.process.wait(STOP_TIMEOUT_S)

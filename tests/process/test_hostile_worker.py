# SPDX-License-Identifier: Apache-2.0
"""Code that took a worker over can do little. docs/security.md has the table; its lines are tried here,
inside live workers."""

from __future__ import annotations

import errno
import fcntl
import json
import mmap
import os
import random
import signal
import socket
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

import pytest

from forwarder.stats.snapshot import Snapshot
from tests.process.test_worker_lies import copy_of
from tests.process.topology import Pair, is_ready, queue_rx
from tests.process.traffic import Source
from tests.support.commands import ip
from tests.support.drivers import extended
from tests.support.inject import Killed, mappings, system_call, write_memory
from tests.support.instance import Instance, instance
from tests.support.netns import device_exists
from tests.support.processes import open_files

WORKERS = 6
TUNSETPERSIST = 0x400454CB
TUNSETOWNER = 0x400454CC
PTRACE_SEIZE = 0x4206
CLONE_NEWNET = 0x40000000
PR = mmap.PROT_READ | mmap.PROT_WRITE
AT_FDCWD = -100


@dataclass(frozen=True)
class Attempt:
    what: str
    call: str
    arguments: tuple[int | bytes, ...] = ()


def attempts(it: Instance, tap_fd: int) -> list[Attempt]:
    supervisor = it.process.pid
    ring_params = bytes(120)
    return [
        Attempt("start a process", "fork"),
        Attempt("run a program", "execve", (b"/bin/sh\0", 0, 0)),
        Attempt("open a file", "openat", (AT_FDCWD, b"/etc/passwd\0", os.O_RDONLY)),
        Attempt("make a socket", "socket", (socket.AF_INET, socket.SOCK_DGRAM, 0)),
        Attempt("end the supervisor", "kill", (supervisor, signal.SIGKILL)),
        Attempt("abort another process", "tgkill", (supervisor, supervisor, signal.SIGABRT)),
        Attempt("find another process", "pidfd_open", (supervisor, 0)),
        Attempt("look into another process", "ptrace", (PTRACE_SEIZE, supervisor, 0, 0)),
        Attempt("write another process' memory", "process_vm_writev", (supervisor, 0, 0, 0, 0, 0)),
        Attempt("change its user", "setuid", (0,)),
        Attempt("enter another network", "unshare", (CLONE_NEWNET,)),
        Attempt("mount", "mount", (b"none\0", b"/\0", b"tmpfs\0", 0, 0)),
        Attempt("keep a tap when the instance is gone", "ioctl", (tap_fd, TUNSETPERSIST, 1)),
        Attempt(
            "change a device's socket",
            "setsockopt",
            (tap_fd, socket.SOL_SOCKET, socket.SO_MARK, b"\1\0\0\0", 4),
        ),
        Attempt(
            "map code", "mmap", (0, 4096, PR | mmap.PROT_EXEC, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
        ),
        Attempt("truncate a file", "ftruncate", (tap_fd, 0)),
        Attempt("make an io_uring", "io_uring_setup", (8, ring_params)),
    ]


def test_what_a_worker_never_does_is_its_end_and_the_instance_goes_on(pair: Pair) -> None:
    with instance(pair.config(queues=WORKERS, rx_mode="interrupt")) as it:
        deaths = [0] * WORKERS
        for number, attempt in enumerate(attempts(it, 0)):
            index = number % WORKERS
            pid = (
                it.wait(partial(is_ready, worker=index, restarts=deaths[index]), "it forwards")
                .workers[index]
                .pid
            )
            tap_fd = next(fd for fd, name in open_files(pid).items() if name == "/dev/net/tun")
            result = system_call(pid, attempt.call, *attempts(it, tap_fd)[number].arguments)
            assert result == Killed(signal.SIGSYS), f"{attempt.what}: {result}"
            deaths[index] += 1
        for index in range(WORKERS):
            it.wait(partial(is_ready, worker=index, restarts=deaths[index]), "it is replaced")
        it.stop()
        assert it.log.count("signal SIGSYS") == sum(deaths)


def test_a_worker_may_end_itself_and_says_where(pair: Pair) -> None:
    with instance(pair.config()) as it:
        pid = it.worker_pids()[0]
        assert system_call(pid, "tgkill", pid, pid, signal.SIGABRT) == 0
        it.wait(partial(is_ready, worker=0, restarts=1), "it is replaced")
        it.stop()
        assert "worker 0: Fatal Python error: Aborted" in it.log
        assert "worker 0 died: signal SIGABRT" in it.log


@pytest.mark.parametrize("pair", ["tap", "uring", extended("turbotap-zerocopy")], indirect=True)
def test_a_worker_holds_nothing_but_its_queues_and_doorbells(pair: Pair) -> None:
    """No file of the host, no log, no terminal, no segment, and no socket but its channel and its queues."""
    with instance(pair.config(queues=2)) as it:
        for pid in it.worker_pids():
            kinds = [
                name.partition(":")[0] for name in open_files(pid).values() if not name.startswith("/dev/shm")
            ]
            allowed = {"/dev/null", "pipe", "socket", "anon_inode", "/dev/net/tun"}
            assert set(kinds) <= allowed
            assert kinds.count("pipe") == 1
            assert os.listdir(f"/proc/{pid}/root") == []


@pytest.mark.parametrize("pair", ["tap", extended("turbotap-zerocopy")], indirect=True)
def test_a_worker_writes_its_own_part_of_the_shared_memory_and_nothing_else(pair: Pair) -> None:
    with instance(pair.config(queues=3)) as it:
        (pid, _, _) = it.worker_pids()
        read_only = [(start, end) for start, end, permissions, _ in mappings(pid) if permissions == "r--s"]
        # The others' parts of two segments, and the others' pools.
        assert len(read_only) >= 4
        for start, end in read_only:
            assert not write_memory(pid, start, b"garbage!")
            assert not write_memory(pid, end - 8, b"garbage!")
            assert system_call(pid, "mprotect", start, 4096, PR) == -errno.EACCES


GARBAGE_WRITES = 100_000
Span = tuple[int, int]


def writable_shared(pid: int) -> list[Span]:
    """The shared mappings that a process may write: its part of the instance's memory, and its drivers'."""
    if pid <= 1:
        return []
    try:
        return [(start, end) for start, end, permissions, _ in mappings(pid) if permissions == "rw-s"]
    except FileNotFoundError:
        return []


def write_garbage(pid: int, span: Span, writes: int, chance: random.Random) -> None:
    """Random words at random places of a mapping, until the process is killed for it."""
    start, end = span
    for _ in range(writes):
        if not write_memory(pid, chance.randrange(start, end - 8, 4), chance.randbytes(8)):
            return


@pytest.mark.parametrize("pair", ["tap", "uring", extended("turbotap-zerocopy")], indirect=True)
def test_garbage_in_everything_that_a_worker_may_write_ends_that_worker_alone(pair: Pair) -> None:
    chance = random.Random(12)
    with instance(pair.config(steering="flow", heartbeat_timeout_ms=3000)) as it:
        with Source(pair.left, "t0", rate=4_000, flows=16):
            it.wait(lambda s: all(queue_rx(s, "t0", q) > 100 for q in (0, 1)), "both queues busy")
            count = len(writable_shared(it.worker_pids()[0]))
            assert count >= 4  # its counters, its rings, the forwarding table, its pool
            spans: list[Span] = []

            def is_there(snapshot: Snapshot) -> bool:
                spans[:] = writable_shared(snapshot.workers[0].pid)  # it may end at any time
                return snapshot.workers[0].state == "ready" and len(spans) == count

            for number in range(count):
                pid = it.wait(is_there, "it is there").workers[0].pid
                write_garbage(pid, spans[number], GARBAGE_WRITES // count, chance)
            it.wait(lambda s: s.workers[0].state == "ready", "it is back")
            there = [queue_rx(it.stats(), "t0", q) for q in (0, 1)]
            it.wait(lambda s: all(queue_rx(s, "t0", q) != there[q] for q in (0, 1)), "both queues forward")
        assert it.cli("connect", "late4", "--driver", "tap").returncode == 0
        it.stop()
        assert it.process.returncode == 0
        assert "Traceback" not in it.log
        assert "worker 0 died: " in it.log
        assert "Accounting" in it.output
        it.expect_crash()  # the accounting needn't close, which the output says


def packet_config(pair: Pair) -> str:
    """Like pair.config(), between one end each of two veth pairs whose other ends are s0 and s1."""
    for netns, port, other in ((pair.left, "t0", "s0"), (pair.right, "t1", "s1")):
        ip("link", "add", port, "type", "veth", "peer", "name", other, netns=netns)
        ip("link", "set", other, "up", netns=netns)
    return replace(pair, driver="packet").config()


def test_a_hostile_packet_ring_is_emptied_by_a_process_without_rights(pair: Pair) -> None:
    """The ring belongs to the kernel and to whoever serves the queue. It outlives a worker that spoilt it."""
    chance = random.Random(1)
    with instance(packet_config(pair)) as it, Source(pair.left, "s0", rate=2_000, flows=16):
        it.wait(lambda s: all(queue_rx(s, "t0", q) > 100 for q in (0, 1)), "both queues busy")
        pid = it.worker_pids()[0]
        rings = [(start, end) for start, end, _, name in mappings(pid) if name.startswith("socket:")]
        assert len(rings) == 4  # to receive and to send, of two ports
        os.kill(pid, signal.SIGSTOP)
        for ring in rings:
            write_garbage(pid, ring, 20_000, chance)
        while (worker := it.stats().workers[0]).state not in ("backoff", "failed"):
            if worker.pid:
                with suppress(ProcessLookupError):
                    os.kill(worker.pid, signal.SIGKILL)
            time.sleep(0.02)
        there = queue_rx(it.stats(), "t0", 1)
        it.wait(lambda s: queue_rx(s, "t0", 1) > there + 100, "the other queue forwards")
        it.cli("delete", "t0")
        it.stop()
        assert it.process.returncode == 0
        assert "Traceback" not in it.log
        assert "Accounting" in it.output
        it.expect_crash()


def tap_data(netns: str, device: str) -> dict[str, object]:
    found = json.loads(ip("-d", "-j", "link", "show", "dev", device, netns=netns))
    data: dict[str, object] = found[0]["linkinfo"]["info_data"]
    return data


def test_taps_are_left_as_they_were_found_whatever_a_worker_did_to_them(pair: Pair) -> None:
    """Where the kernel has no filters, a worker may make a tap persistent, and somebody its owner."""
    ip("tuntap", "add", "mode", "tap", "multi_queue", "name", "t1", netns=pair.right)
    before = tap_data(pair.right, "t1")
    assert before["persist"] is True
    with instance(pair.config()) as it:
        for pid in it.worker_pids():
            for number, name in open_files(pid).items():
                if name == "/dev/net/tun":
                    fd = copy_of(pid, number)
                    fcntl.ioctl(fd, TUNSETPERSIST, number % 2)
                    fcntl.ioctl(fd, TUNSETOWNER, 12345)
                    os.close(fd)
        it.stop()
        assert not device_exists(pair.left, "t0")
        after = tap_data(pair.right, "t1")
        assert after["persist"] is True
        assert after.get("user") in (None, "root", 0)  # the kernel can't be told again that it has no owner
        ip("link", "delete", "t1", netns=pair.right)

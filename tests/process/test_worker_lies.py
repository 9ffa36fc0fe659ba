# SPDX-License-Identifier: Apache-2.0
"""A compromised worker may send any message. The supervisor survives, names the worker and replaces it. The
other queues never stop.

The tests take the fd of a live worker's channel (pidfd_getfd(2)) and write into it. The supervisor can't tell
these messages from the worker's own.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from forwarder.native import ffi, lib
from forwarder.shm_names import stats_name
from forwarder.stats.accounting import accounting
from forwarder.stats.reader import StatsReader
from forwarder.stats.snapshot import Snapshot
from forwarder.worker.messages import Ack, Failed, Message, QueueError, QueueStuck, Ready, encode
from tests.process.topology import Pair, is_ready, lost_packets, queue_rx
from tests.process.traffic import Sink, Source, assert_unique
from tests.support.capabilities import missing
from tests.support.commands import ip
from tests.support.instance import Instance, instance
from tests.support.processes import open_files

_SYS_PIDFD_GETFD = 438
_BATCH = 64

libc = ctypes.CDLL(None, use_errno=True)


def copy_of(pid: int, number: int) -> int:
    """Our own fd of the file that the process has open as `number`."""
    pidfd = os.pidfd_open(pid)
    try:
        fd: int = libc.syscall(_SYS_PIDFD_GETFD, pidfd, number, 0)
    finally:
        os.close(pidfd)
    if fd < 0:
        missing(f"pidfd_getfd(2) of a worker: {os.strerror(ctypes.get_errno())}")
    return fd


@contextmanager
def mouth_of(pid: int) -> Iterator[socket.socket]:
    """The worker's end of its channel: a message sent there comes from that worker."""
    number = int(psutil.Process(pid).cmdline()[-1])
    with socket.socket(fileno=copy_of(pid, number)) as mouth:
        mouth.setblocking(False)
        yield mouth


def says(it: Instance, worker: int, data: bytes, fds: int = 0) -> int:
    """Send a message as a worker. Returns the worker's pid."""
    pid = it.stats().workers[worker].pid
    with mouth_of(pid) as mouth, open(os.devnull, "rb") as beside:
        socket.send_fds(mouth, [data], [beside.fileno()] * fds)
    return pid


MALFORMED: list[tuple[bytes, int, str]] = [
    (b"\0\xff" * 500, 0, "no JSON"),
    (b"[" * 10_000, 0, "no JSON"),
    (b'{"op": "attach"}', 0, "no such message: op 'attach'"),
    (b'{"op": "ack", "seq": "1", "error": null}', 0, "ack.seq: '1' is not an integer"),
    (b'{"op": "queue_error", "port_id": 400000000, "error": "x"}', 0, "queue_error.port_id: 400000000"),
    (b" " * 60_000, 0, "longer than"),
    (encode(Failed("with fds beside it")), 3, "failed: 3 descriptors beside it"),
    (b"", 3, "no JSON"),
]
LIES: list[tuple[Message, str]] = [
    (Ready(), "ready, in state READY"),
    (Ack(0, None), "ack of 0, where nothing waits for an answer"),
    (Ack(10**15, "no"), "ack of 1000000000000000"),
    (QueueError(63, "no such port"), "queue_error of port 63"),
    (QueueStuck(63), "queue_stuck of port 63, of which it has no queue"),
    (QueueStuck(0), "queue_stuck of port 0, whose queues never are"),
]


# An instance for each part: one that crashes more often backs off.
PARTS = [
    MALFORMED[:4],
    MALFORMED[4:],
    *([(encode(lie), 0, reason) for lie, reason in LIES[at : at + 3]] for at in (0, 3)),
]


@pytest.mark.parametrize("said", PARTS, ids=lambda said: "; ".join(reason for _, _, reason in said))
def test_a_worker_that_breaks_the_protocol_is_named_and_replaced_and_nobody_else_is(
    pair: Pair, said: list[tuple[bytes, int, str]]
) -> None:
    with instance(pair.config(batch=_BATCH)) as it:
        pair.lengthen_queues()
        pids = []
        with Sink(pair.right, "t1") as sink:
            with Source(pair.left, "t0", rate=4_000) as source:
                it.wait(lambda s: all(queue_rx(s, "t0", q) > 100 for q in (0, 1)), "both queues busy")
                before = it.supervisor_fds()
                for crashes, (data, fds, _) in enumerate(said, 1):
                    pids.append(says(it, 0, data, fds))
                    it.wait(partial(is_ready, worker=0, restarts=crashes), "it is replaced")
                    _both_forward(it)
            assert it.supervisor_fds() <= before
            it.settled()
        assert it.cli("connect", "late0", "--driver", "tap").returncode == 0  # requests are still served
        final = it.stop()
        assert len({*pids, final.workers[0].pid}) == len(said) + 1
        assert final.workers[1].restarts == 0
        for pid, (_, _, reason) in zip(pids, said, strict=True):
            assert f"worker 0 (process {pid}) killed for a protocol violation: {reason}" in it.log
            assert f"worker 0 died: killed for a protocol violation: {reason}" in it.log
        assert "worker 1" not in it.log.partition("protocol violation")[2]
    counted, sent, lost = _received(final), accounting(final).sent_packets, lost_packets(final)
    assert lost <= len(said) * _BATCH
    # A death hides at most a burst that wasn't counted yet, and one that was sent and isn't counted as sent.
    assert 0 <= source.result.accepted_packets - counted <= len(said) * _BATCH
    assert sent <= sink.received.packets <= sent + lost
    assert_unique(sink.received.of())


def _received(snapshot: Snapshot) -> int:
    """Of the source's packets. The kernel sends some of its own to a port that is connected later."""
    return sum(queue_rx(snapshot, "t0", queue) for queue in (0, 1))


def _both_forward(it: Instance) -> None:
    start = [queue_rx(it.stats(), "t0", q) for q in (0, 1)]
    it.wait(lambda s: all(queue_rx(s, "t0", q) > start[q] + 200 for q in (0, 1)), "both forward")


def test_a_worker_that_closed_its_channel_is_replaced(pair: Pair) -> None:
    """The worker forwards and its heart beats, but it can't be told of ports any more."""
    with instance(pair.config()) as it:
        pid = it.stats().workers[1].pid
        with mouth_of(pid) as mouth:
            mouth.shutdown(socket.SHUT_RDWR)
        it.wait(lambda s: is_ready(s, 1, 1), "it is replaced")
        it.stop()
        assert "worker 1 died" in it.log


def test_a_worker_that_never_stops_talking_is_named_and_replaced(pair: Pair) -> None:
    """Valid messages at full speed: stop and connect are still answered, and the log stays short."""
    with instance(pair.config()) as it:
        said = encode(QueueError(0, "Network is down"))
        pid = it.stats().workers[0].pid
        with mouth_of(pid) as mouth:
            end = time.monotonic() + 30
            with suppress(BrokenPipeError, ConnectionResetError):  # the supervisor has closed its end
                while time.monotonic() < end:
                    try:
                        mouth.send(said)
                    except BlockingIOError:
                        time.sleep(0.001)
        it.wait(lambda s: is_ready(s, 0, 1), "it is replaced")
        assert it.cli("connect", "late1", "--driver", "tap").returncode == 0
        assert it.stats().workers[1].restarts == 0
        assert f"worker 0 (process {pid}) killed because it sends more than" in it.log
        assert 1 <= it.log.count("port t0 queue 0: Network is down") <= 5


def write_heartbeat(it: Instance, worker: int, value_ns: int) -> None:
    with StatsReader.attach(it.name) as reader:
        stats = reader._segment.base
        untyped: Any = ffi
        word = untyped.addressof(lib.ttf_stats_worker(stats, worker), "heartbeat_ns")
        offset = untyped.cast("char *", word) - untyped.cast("char *", stats)
    with Path("/dev/shm", stats_name(it.name).lstrip("/")).open("r+b", buffering=0) as segment:
        segment.seek(offset)
        segment.write(value_ns.to_bytes(8, sys.byteorder))


def test_a_worker_whose_heartbeat_is_in_the_future_is_named_and_replaced(pair: Pair) -> None:
    """Otherwise it could hang until that time."""
    with instance(pair.config(heartbeat_timeout_ms=60_000)) as it:
        pid = it.stats().workers[0].pid
        os.kill(pid, signal.SIGSTOP)
        write_heartbeat(it, 0, time.monotonic_ns() + 3_600 * 10**9)
        it.wait(lambda s: is_ready(s, 0, 1), "it is replaced")
        assert it.stats().workers[1].restarts == 0
        assert f"worker 0 (process {pid}) killed" in it.log
        assert "heartbeat" in it.log


def test_a_worker_that_can_not_tell_goes_on_and_tells_later(pair: Pair) -> None:
    """The supervisor hangs, and a worker's channel is full when its queue stops."""
    with instance(pair.config()) as it:
        pids = it.worker_pids()
        it.process.send_signal(signal.SIGSTOP)
        try:
            with mouth_of(pids[0]) as mouth:
                fill(mouth, encode(QueueError(0, "Network is down")))
            ip("link", "delete", "t1", netns=pair.right)
            slices = it.stats().workers[0].running_ns
            it.wait(lambda s: s.workers[0].running_ns > slices + 10**9, "it goes on")
        finally:
            it.process.send_signal(signal.SIGCONT)
        deadline = time.monotonic() + 20
        while "port t1 queue 0: " not in it.log and time.monotonic() < deadline:
            time.sleep(0.02)
        assert "port t1 queue 0: " in it.log
        assert it.worker_pids() == pids


def test_doorbells_that_a_worker_rang_too_often_keep_the_supervisor_from_nothing(pair: Pair) -> None:
    with instance(pair.config()) as it:
        pid = it.stats().workers[0].pid
        os.kill(pid, signal.SIGSTOP)  # the worker doesn't read its own doorbell
        bells = [number for number, file in open_files(pid).items() if file == "anon_inode:[eventfd]"]
        assert len(bells) == 2
        for number in bells:
            bell = copy_of(pid, number)
            with suppress(BlockingIOError):
                os.eventfd_write(bell, 2**64 - 2)
            os.close(bell)
        assert it.cli("connect", "late3", "--driver", "tap").returncode == 0
        it.wait(lambda s: is_ready(s, 0, 1), "it is replaced")
        it.stop()
        assert f"worker 0 (process {pid}) killed because it didn't answer for 2 s" in it.log


def fill(mouth: socket.socket, said: bytes) -> None:
    try:
        for _ in range(10_000):
            mouth.send(said)
    except BlockingIOError:
        return
    raise AssertionError("a channel without an end")

# SPDX-License-Identifier: Apache-2.0
"""The control socket: a client may send anything. It gets an answer that follows the protocol, and the
instance forwards on. Only root and the instance's owner are served."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from forwarder.native import ffi, lib
from forwarder.stats.snapshot import Snapshot
from tests.process.control_client import Client
from tests.support.commands import run
from tests.support.instance import Instance, instance
from tests.support.wait import wait_until

_NOBODY_SCRIPT = Path(__file__).with_name("nobody.py")


@pytest.fixture(scope="module")
def it() -> Iterator[Instance]:
    """An instance without ports that all tests of this module share. No test may harm it."""
    with instance('queues = 1\nmode = "rxonly"\n') as running:
        yield running
        assert [worker.restarts for worker in running.stats().workers] == [0]


@pytest.fixture
def client(it: Instance) -> Iterator[Client]:
    found = Client(it)
    yield found
    found.close()


def request(**members: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", **members}).encode() + b"\n"


def test_status(it: Instance, client: Client) -> None:
    expected = {"instance": it.name, "pid": it.process.pid, "ports": 0}
    assert client.call("status") == expected
    client.send(request(id="seven", method="status"))  # without params, and with a string as id
    assert client.reply() == {"jsonrpc": "2.0", "id": "seven", "result": expected}


@pytest.mark.parametrize(
    ("line", "identity", "code"),
    [
        (b"{", None, -32700),
        (b"", None, -32700),
        (b"\xff\xfe\x00", None, -32700),
        (b"[" * 60_000, None, -32700),
        (b'{"a":' * 10_000, None, -32700),
        (b"1" * 10_000, None, -32700),
        (b"7", None, -32600),
        (b"[]", None, -32600),
        (b'{"id": 1, "method": "status"}', None, -32600),
        (b'{"jsonrpc": "1.0", "id": 1, "method": "status"}', None, -32600),
        (b'{"jsonrpc": "2.0", "id": {}, "method": "status"}', None, -32600),
        (b'{"jsonrpc": "2.0", "id": NaN, "method": "status"}', None, -32600),
        (b'{"jsonrpc": "2.0", "id": 1}', 1, -32600),
        (b'{"jsonrpc": "2.0", "id": 1, "method": 7}', 1, -32600),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "nope"}', 1, -32601),
        (b'{"jsonrpc": "2.0", "id": "x", "method": "STATUS"}', "x", -32601),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "status", "params": [1]}', 1, -32602),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "status", "params": "x"}', 1, -32602),
    ],
)
def test_a_bad_request_gets_the_protocols_error(
    client: Client, line: bytes, identity: object, code: int
) -> None:
    client.send(line + b"\n")
    reply = client.reply()
    assert reply is not None
    assert (reply["jsonrpc"], reply["id"], reply["error"]["code"]) == ("2.0", identity, code)
    assert client.call("status")["ports"] == 0  # the connection still works


@pytest.mark.parametrize(
    ("method", "params", "says"),
    [
        ("stop", {"timeout_ms": -1}, "timeout_ms"),
        ("stop", {"timeout_ms": 1.5}, "timeout_ms"),
        ("stop", {"timeout_ms": True}, "timeout_ms"),
        ("stop", {"timeout_ms": "1"}, "timeout_ms"),
        ("capture", {"events": []}, "events"),
        ("capture", {"events": ["pad"]}, "events"),
        ("capture", {"events": [["rx"]]}, "events"),
        ("capture", {"events": "rx"}, "events"),
        ("capture", {"bytes": -1}, "bytes"),
        ("capture", {"bytes": 1 << 17}, "bytes"),
        ("capture", {"bytes": True}, "bytes"),
        ("capture", {"snaplen": 5}, "snaplen"),
        ("delete", {}, "name"),
        ("delete", {"name": ["x"]}, "name"),
        ("connect", {}, "name"),
        ("connect", {"name": None}, "name"),
        ("connect", {"name": "a\0b"}, "name"),
        ("connect", {"name": "c0", "netns": "\ud800"}, "netns"),
        ("connect", {"name": "c0", "netns": "a\0b"}, "netns"),
        ("connect", {"name": "c0", "address": ["\ud800"]}, "address"),
    ],
)
def test_parameters_of_a_wrong_kind_are_named(
    client: Client, method: str, params: dict[str, Any], says: str
) -> None:
    error = client.ask(method, **params)["error"]
    assert error["code"] == -32000
    assert error["data"]["exit_code"] == 2
    assert says in error["message"]
    assert client.call("status")["ports"] == 0


def test_a_notification_gets_no_reply(client: Client) -> None:
    client.send(request(method="status"))
    client.send(request(method="nope"))
    client.send(request(method="delete", params={"name": "nope"}))
    client.send(request(method="status", params=[1]))
    client.send(request(id=9, method="status"))
    reply = client.reply()
    assert reply is not None
    assert reply["id"] == 9


def test_requests_in_one_piece_and_a_request_in_many(client: Client) -> None:
    client.send(
        request(id=1, method="status") + request(id=2, method="nope") + request(id=3, method="status")
    )
    assert [(client.reply() or {})["id"] for _ in range(3)] == [1, 2, 3]
    for byte in request(id=4, method="status"):
        client.send(bytes([byte]))
    assert (client.reply() or {})["id"] == 4


def test_a_request_without_an_end_is_not_kept_for_ever(it: Instance, client: Client) -> None:
    other = Client(it)
    try:
        for _ in range(8):
            client.send(b"x" * (32 << 10))
    except OSError:
        pass  # already closed by the instance
    assert client.reply() is None
    assert other.call("status")["ports"] == 0
    other.close()


def test_half_a_line_and_then_the_end(it: Instance) -> None:
    before = it.supervisor_fds()
    for data in (b"", b'{"jsonrpc": "2.0", "id"', request(id=1, method="status")[:-1]):
        client = Client(it)
        client.send(data)
        client.hang_up()
        assert client.reply() is None
        client.close()
    wait_until(lambda: it.supervisor_fds() <= before, "its sockets are closed")


def test_a_client_that_leaves_before_its_answer(it: Instance) -> None:
    before = it.supervisor_fds()
    for _ in range(50):
        client = Client(it)
        client.send(request(id=1, method="status") * 20)
        client.close()
    client = Client(it)
    assert client.call("status")["ports"] == 0
    client.close()
    wait_until(lambda: it.supervisor_fds() <= before, "its sockets are closed")


def test_many_clients_at_once(it: Instance) -> None:
    before = it.supervisor_fds()
    clients: list[Client] = []
    for _ in range(100):
        clients.append(Client(it))
    for client in clients:
        client.send(request(id=1, method="status"))
    assert all((client.reply() or {})["id"] == 1 for client in clients)
    for client in clients:
        client.close()
    wait_until(lambda: it.supervisor_fds() <= before, "its sockets are closed")


def replaced(dead: Sequence[int], snapshot: Snapshot) -> bool:
    return all(worker.state == "ready" and worker.pid not in dead for worker in snapshot.workers)


def test_clients_that_come_while_workers_die() -> None:
    """The fd numbers of a dead worker are reused by the next connections."""
    with instance('queues = 2\nmode = "rxonly"\n') as it:
        clients: list[Client] = []
        for _ in range(4):
            dead = it.worker_pids()
            for pid in dead:
                os.kill(pid, signal.SIGKILL)
            clients += [Client(it) for _ in range(10)]
            for client in clients:
                client.call("status")
            it.wait(partial(replaced, dead), "new workers")
            for client in clients[::2]:
                client.close()
            clients = clients[1::2]
        for client in clients:
            client.call("status")
            client.close()


def test_the_socket_is_the_owners_alone(it: Instance) -> None:
    mode = (it.directory / f"{it.name}.sock").stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600


def as_nobody(it: Instance, *words: str) -> subprocess.CompletedProcess[str]:
    return run(sys.executable, _NOBODY_SCRIPT, *words, code=None, env=it.environment)


@pytest.fixture
def open_directory(it: Instance) -> None:
    """A runtime directory that all users may enter, as in /run."""
    it.directory.chmod(0o755)


@pytest.mark.usefixtures("open_directory")
@pytest.mark.parametrize(
    "words",
    [["stop"], ["connect", "c0"], ["delete", "c0"], ["stats"], ["stats", "--json"], ["stats", "--watch"]],
)
def test_another_user_is_not_permitted(it: Instance, words: list[str]) -> None:
    done = as_nobody(it, *words, "--name", it.name)
    assert done.returncode == 77, done
    assert done.stderr.startswith("ttfwd: ")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
    assert it.process.poll() is None


@pytest.mark.usefixtures("open_directory")
def test_another_user_may_not_start(it: Instance) -> None:
    config = it.directory / "config.toml"
    config.chmod(0o644)
    for words in ([], ["--detach"]):
        done = as_nobody(it, "start", "-c", str(config), "--name", f"{it.name}-x", *words)
        assert done.returncode == 77, done
        assert done.stderr.startswith("ttfwd: ")
        assert "Traceback" not in done.stderr


@pytest.mark.usefixtures("open_directory")
def test_another_user_may_not_measure(it: Instance) -> None:
    """The tester makes devices. What an instance counts is its owner's, too."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o777)
        for words in (["quick"], ["mrr", "--dut", it.name]):
            done = as_nobody(it, "bench", *words, "--out", f"{directory}/result")
            assert done.returncode == 77, done
            assert "Traceback" not in done.stderr
            assert os.listdir(directory) == []


@pytest.mark.usefixtures("open_directory")
def test_the_kernel_is_asked_who_connects(it: Instance) -> None:
    """Even if the socket's mode admits everybody, only root and the owner are served."""
    path = it.directory / f"{it.name}.sock"
    path.chmod(0o666)
    try:
        done = as_nobody(it, "stop", "--name", it.name)
    finally:
        path.chmod(0o600)
    assert done.returncode == 77, done
    assert "of user 65534 is neither root nor the instance's owner" in done.stderr
    assert it.process.poll() is None
    assert os.path.exists(path)


# ------------------------------------------------------------------------------------------- capture


def allocated_bytes(fd: int) -> int:
    return os.fstat(fd).st_blocks * 512


def capture(client: Client) -> int:
    """The descriptor of the only worker's records."""
    client.send(request(id=1, method="capture", params={"events": ["rx", "drop"], "bytes": 64}))
    line, fds, _, _ = socket.recv_fds(client.socket, 4096, 2)
    assert json.loads(line)["result"] == {"workers": 1}
    (fd,) = fds
    return fd


def test_a_capture_lasts_as_long_as_its_connection_and_costs_nothing_afterwards(it: Instance) -> None:
    clients = [Client(it), Client(it)]
    fds = [capture(client) for client in clients]
    whole = ffi.sizeof("struct ttf_capture")
    word = (1 << lib.TTF_EVENT_RX | 1 << lib.TTF_EVENT_DROP) << lib.TTF_CAPTURE_SHIFT | 64
    base = lib.ttf_map(fds[0], whole, False)
    wait_until(lambda: lib.ttf_capture_seen(base) == word, "the worker captures")
    assert allocated_bytes(fds[0]) == whole
    clients[0].close()
    assert clients[1].call("status"), "the supervisor has seen the end of the other connection"
    assert (lib.ttf_capture_seen(base), allocated_bytes(fds[0])) == (word, whole), "for the one that is left"
    clients[1].close()
    wait_until(lambda: lib.ttf_capture_seen(base) == 0, "nobody captures")
    wait_until(lambda: allocated_bytes(fds[0]) <= lib.TTF_AREA_ALIGN, "its memory is given back")
    lib.ttf_unmap(base, whole)
    for fd in fds:
        os.close(fd)


def test_what_is_captured_can_only_be_read(it: Instance, client: Client) -> None:
    fd = capture(client)
    assert lib.ttf_map(fd, ffi.sizeof("struct ttf_capture"), True) == ffi.NULL
    assert ffi.errno == errno.EACCES
    with pytest.raises(OSError, match="Invalid argument"):
        os.ftruncate(fd, 0)
    os.close(fd)


def test_a_connection_captures_once(client: Client) -> None:
    os.close(capture(client))
    refusal = client.ask("capture")["error"]
    assert refusal["message"] == "capture: this connection captures already"
    assert client.call("status"), "and goes on"

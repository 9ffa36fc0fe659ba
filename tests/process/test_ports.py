# SPDX-License-Identifier: Apache-2.0
"""Ports of a running instance are added and deleted. Other ports lose no packet, a deleted port leaves
nothing, and a refused one leaves nothing and reports why.
"""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import psutil
import pytest

from forwarder.stats.accounting import accounting
from tests.process.conftest import Recorder
from tests.process.control_client import Client
from tests.process.topology import Pair
from tests.process.traffic import Sink, Source, assert_in_order
from tests.support.commands import ip, unique
from tests.support.drivers import BATCHED, URING, extended, port_keys
from tests.support.instance import Instance, instance, port_of
from tests.support.netns import NETNS, device_exists, namespace
from tests.support.processes import open_files
from tests.support.shm import segments_of
from tests.support.wait import wait_until

ROUNDS = 200


def descriptors(it: Instance) -> dict[int, int]:
    """The open fds of each process, once all sleep. The standby, for example, may still load its modules."""
    found: dict[int, int] = {}

    def stay() -> bool:
        nonlocal found
        time.sleep(0.3)
        processes = it.processes()
        before, found = found, {process.pid: process.num_fds() for process in processes}
        asleep = all(process.status() == psutil.STATUS_SLEEPING for process in processes)
        return asleep and found == before and len(found) == 2 + len(it.worker_pids())

    wait_until(stay, "supervisor, workers and standby sleep")
    return found


def namespaces() -> set[str]:
    """Those with a name, but for what another process of tests made beside us: its pid is in the name."""
    found = {path.name for path in NETNS.iterdir()} if NETNS.exists() else set()
    return {
        name for name in found if not (pid := re.match(r"[a-z]+-(\d+)-", name)) or int(pid[1]) == os.getpid()
    }


def assert_all_arrive(it: Instance, left: str, right: str, packets: int = 800) -> None:
    """Packets cross from t0 to t1."""
    with Sink(right, "t1") as sink:
        with Source(left, "t0", rate=2_000, limit_packets=packets) as source:
            source.wait()
        it.settled()
    assert sink.received.packets == packets


def free_frames(it: Instance) -> list[tuple[int, int]]:
    return [(worker.pool_free_frames, worker.pool_frames) for worker in it.stats().workers]


def test_two_hundred_rounds_of_connect_and_delete_under_load(pair: Pair, record: Recorder) -> None:
    made = [unique("tc") for _ in range(4)]
    with instance(pair.config()) as it:
        pair.lengthen_queues()
        client = Client(it)
        # The first round opens fds that stay (a netlink socket for the host's namespace).
        client.call("connect", name="c0", netns=made[0])
        client.call("delete", name="c0")
        before = descriptors(it)
        slowest_ms: dict[str, float] = {"connect": 0.0, "delete": 0.0}
        began = time.monotonic()
        with Sink(pair.right, "t1") as sink:
            with Source(pair.left, "t0", rate=1_500, limit_s=250) as source:
                for count in range(ROUNDS):
                    netns = made[count % len(made)]
                    for method, params in (
                        ("connect", {"name": f"c{count}", "netns": netns, "queues": 1 + count % 2}),
                        ("delete", {"name": f"c{count}"}),
                    ):
                        at = time.monotonic()
                        client.call(method, **params)
                        slowest_ms[method] = max(slowest_ms[method], 1e3 * (time.monotonic() - at))
                        if count % 50 == 0:
                            assert device_exists(netns, f"c{count}") is (method == "connect")
            took_s = time.monotonic() - began
            it.settled()
        client.close()
        # No other port was disturbed ...
        now = it.stats()
        assert [worker.restarts for worker in now.workers] == [0, 0]
        assert [sum(port_of(now, name).counters.drops.values()) for name in ("t0", "t1")] == [0, 0]
        assert source.result.refused_packets == {}
        assert sink.received.missed_packets == 0
        assert sink.received.packets == source.result.offered_packets
        assert_in_order(sink.received.of())
        # ... and nothing is left.
        assert [port.name for port in it.stats().ports] == ["t0", "t1"]
        assert not namespaces() & set(made)
        it.wait(lambda s: all(w.pool_free_frames == w.pool_frames for w in s.workers), "all frames are free")
        after = descriptors(it)
        assert after.keys() == before.keys()
        assert all(after[pid] <= before[pid] for pid in before), (before, after)
        assert len(segments_of(it.name)) == 1
    record("round_ms", round(1e3 * took_s / ROUNDS, 1))
    record("slowest_ms", {method: round(ms, 1) for method, ms in slowest_ms.items()})


def _is_closed(it: Instance, file: str) -> bool:
    return file not in open_files(it.process.pid).values()


def test_the_namespace_of_a_deleted_port_is_not_held_open(pair: Pair) -> None:
    """The kernel keeps a namespace, and the devices in it, for as long as anybody has it open."""
    with instance(pair.config()) as it:
        for _ in range(5):
            netns = unique("tc")
            it.cli("connect", "c0", "--netns", netns)
            held = f"net:[{(NETNS / netns).stat().st_ino}]"
            it.cli("delete", "c0")
            wait_until(partial(_is_closed, it, held), "it is closed")


@pytest.mark.parametrize(
    ("port", "says"),
    [
        ({"name": "w0"}, "w0"),
        ({"name": "c0", "address": ["10.9.0.1/24", "::1/128"]}, "the kernel refused"),
        ({"name": "v0", "driver": "packet"}, "v0"),
    ],
    ids=["a name that is taken", "an address that the kernel refuses", "a device that isn't there"],
)
def test_the_namespace_of_a_refused_port_is_not_held_open(
    pair: Pair, port: dict[str, Any], says: str
) -> None:
    with instance(pair.config()) as it, namespace(ipv6=True) as netns:
        ip("link", "add", "w0", "type", "veth", "peer", "name", "w1", "netns", pair.left, netns=netns)
        held = f"net:[{(NETNS / netns).stat().st_ino}]"
        client = Client(it)
        for _ in range(5):
            error = client.ask("connect", netns=netns, **port)["error"]
            assert error["data"]["exit_code"] == 1
            assert says in error["message"]
            client.call("status")  # the supervisor is done with the request before
            assert _is_closed(it, held)
        client.close()
        ip("netns", "delete", netns)
        wait_until(lambda: not device_exists(pair.left, "w1"), "the namespace is gone, with its devices")


def test_traffic_of_a_port_that_is_deleted_is_accounted_for(pair: Pair) -> None:
    """Traffic into a port until it is deleted: accepted packets are received, and forwarded or counted."""
    with instance(pair.config()) as it, namespace() as netns:
        it.cli("connect", "c0", "--netns", netns)
        with Source(netns, "c0", rate=5_000, stream=3) as source:
            it.wait(lambda s: any(p.name == "c0" and p.counters.rx_packets > 500 for p in s.ports), "traffic")
            it.cli("delete", "c0")
        settled = accounting(it.settled())
        assert source.result.refused_packets
        assert settled.received_packets == source.result.accepted_packets
        assert settled.dropped_packets["no_port"] + settled.dropped_packets["shutdown"] > 500


@pytest.mark.parametrize(
    "pair", ["tap", extended("turbotap-mmsg"), extended("turbotap-zerocopy")], indirect=True
)
def test_a_connected_port_forwards_to_its_peer_and_is_shown(pair: Pair) -> None:
    driver = [word for key, value in port_keys(pair.driver).items() for word in (f"--{key}", str(value))]
    with instance(pair.config(mode="xconnect")) as it, namespace() as a, namespace() as b:
        words = ("--netns", a, "--address", "10.9.0.1/24", "--mtu", "1400", *driver)
        shown = it.cli("connect", "c0", *words).stdout
        assert f"driver {pair.driver.replace('-', '/')} (as configured" in shown
        for part in (f"c0 in network namespace {a}: up", "MTU 1400", "10.9.0.1/24", "2 queues"):
            assert part in shown
        seen = json.loads(it.cli("connect", "c1", "--netns", b, "--peer", "c0", "--json", *driver).stdout)
        assert (seen["port"], seen["peer"], seen["netns"], seen["state"]) == ("c1", "c0", b, "up")
        assert device_exists(a, "c0")
        assert device_exists(b, "c1")
        with Sink(b, "c1") as sink:
            with Source(a, "c0", rate=2_000, limit_packets=800) as source:
                source.wait()
            it.settled()
        assert sink.received.packets == 800
        assert it.cli("delete", "c0").stdout == "c0 deleted\n"
        assert not device_exists(a, "c0")
        assert json.loads(it.cli("delete", "c1", "--json").stdout)["port"] == "c1"


@contextmanager
def leaves_nothing(it: Instance) -> Iterator[None]:
    before = (
        descriptors(it),
        namespaces(),
        [(port.port_id, port.name, port.peer) for port in it.stats().ports],
        {psutil.Process(pid).create_time() for pid in it.worker_pids()},
    )
    yield
    after = (
        descriptors(it),
        namespaces(),
        [(port.port_id, port.name, port.peer) for port in it.stats().ports],
        {psutil.Process(pid).create_time() for pid in it.worker_pids()},
    )
    assert after[2:] == before[2:]
    assert after[1] - before[1] == set()
    assert after[0] == before[0]


def test_a_refused_connect_names_its_reason_and_leaves_nothing(pair: Pair) -> None:
    fresh, absent, left = unique("tn"), unique("tn"), pair.left
    refused: list[tuple[dict[str, Any], int, str]] = [
        ({"name": "t0"}, 2, "t0"),
        ({"name": "t0", "netns": fresh}, 2, "t0"),
        ({"name": "c0", "netns": fresh, "peer": "nope"}, 2, "nope"),
        ({"name": "c0", "netns": fresh, "peer": "t0"}, 2, "t0"),
        ({"name": "c0", "netns": fresh, "peer": "c0"}, 2, "its own peer"),
        ({"name": "c0", "netns": fresh, "mtu": 60}, 2, "60"),
        ({"name": "c0", "netns": fresh, "mtu": 99999}, 2, "99999"),
        ({"name": "c0", "netns": fresh, "mtu": "1500"}, 2, "mtu"),
        ({"name": "c0", "netns": fresh, "queues": 3}, 2, "3"),
        ({"name": "c0", "netns": fresh, "queues": 0}, 2, "0"),
        ({"name": "c0", "netns": fresh, "queues": True}, 2, "queues"),
        ({"name": "c0", "netns": fresh, "driver": "dpdk"}, 2, "dpdk"),
        ({"name": "c0", "netns": fresh, "io": "mmap"}, 2, "mmap"),
        ({"name": "c0", "netns": fresh, "driver": "tap", "io": "mmsg"}, 2, "the driver is tap"),
        ({"name": "c0", "netns": fresh, "mac": "01:00:00:00:00:01"}, 2, "01:00:00:00:00:01"),
        ({"name": "c0", "netns": fresh, "address": ["10.0.0.999/24"]}, 2, "10.0.0.999/24"),
        ({"name": "c0", "netns": fresh, "address": "10.0.0.1/24"}, 2, "address"),
        ({"name": "c0", "netns": fresh, "colour": "red"}, 2, "colour"),
        ({"name": "c0", "netns": "a/b"}, 2, "a/b"),
        ({"name": 7, "netns": fresh}, 2, "name"),
        ({"netns": fresh}, 2, "name"),
        ({"name": "a-name-that-is-too-long", "netns": fresh}, 2, "a-name-that-is-too-long"),
        ({"name": "v0", "driver": "packet", "netns": absent}, 1, absent),
        ({"name": "v0", "driver": "packet", "netns": left}, 1, "v0"),
        ({"name": "w0", "netns": left}, 1, "w0"),
        ({"name": "c0", "netns": left, "address": ["fd00::1/64"]}, 1, "fd00::1/64"),
    ]
    ip("link", "add", "w0", "type", "veth", "peer", "name", "w1", netns=left)
    with instance(pair.config()) as it:
        client = Client(it)
        client.call("status")
        with leaves_nothing(it):
            for params, code, says in refused:
                error = client.ask("connect", **params)["error"]
                assert error["data"]["exit_code"] == code, (params, error)
                assert says in error["message"], (params, error)
                assert not device_exists(left, "c0")
            for method, name in (("delete", "nope"), ("delete", "T0")):
                error = client.ask(method, name=name)["error"]
                assert error["message"] == f'no port "{name}" (ports: t0, t1)'
                assert error["data"]["exit_code"] == 1
        client.close()
        for words, code, says in (
            (["connect", "c0", "--netns", fresh, "--mtu", "60"], 2, "60"),
            (["connect", "c0", "--netns", fresh, "--mtu", "x"], 2, "x"),
            (["connect", "w0", "--netns", left], 1, "w0"),
            (["delete", "nope"], 1, 'no port "nope" (ports: t0, t1)'),
        ):
            done = it.cli(words[0], *words[1:], code=code)
            assert says in done.stderr
            assert "Traceback" not in done.stderr
            assert done.stdout == ""
        assert_all_arrive(it, left, pair.right)


@pytest.mark.parametrize("pair", ["tap", *BATCHED], indirect=True)
def test_a_device_that_was_removed_under_a_port(pair: Pair) -> None:
    """`ip link del` by another program: the port can be deleted, others forward, and the end is clean."""
    with instance(pair.config()) as it, namespace() as netns:
        client = Client(it)
        client.call("connect", name="c0", netns=netns)
        ip("link", "del", "c0", netns=netns)
        pair.lengthen_queues()
        assert_all_arrive(it, pair.left, pair.right)
        it.cli("stats", "--port", "c0")
        client.call("delete", name="c0")
        client.call("connect", name="c0", netns=netns)
        client.close()
        ip("link", "del", "c0", netns=netns)
        ip("link", "del", "t1", netns=pair.right)
        assert [worker.restarts for worker in it.stats().workers] == [0, 0]


@pytest.mark.parametrize("pair", ["tap", extended("turbotap-zerocopy"), *URING], indirect=True)
def test_what_a_hung_workers_queue_holds_is_named_when_its_port_goes(pair: Pair) -> None:
    with instance(pair.config(heartbeat_timeout_ms=60_000)) as it:
        for pid in it.worker_pids():
            os.kill(pid, signal.SIGSTOP)
        with Source(pair.left, "t0", rate=2_000, limit_packets=160) as source:
            source.wait()
        it.cli("delete", "t0")
        counters = it.stats().counters
        assert counters.rx_packets == 160
        assert counters.drops["shutdown"] == 160
        it.wait(lambda s: all(worker.state == "ready" for worker in s.workers), "replacements")


def test_the_most_ports_that_an_instance_has(pair: Pair) -> None:
    with instance(pair.config(queues=1)) as it, namespace() as netns:
        client = Client(it)
        for count in range(62):
            client.call("connect", name=f"c{count}", netns=netns)
        before = descriptors(it)
        reply = client.ask("connect", name="c62", netns=netns)
        assert "64" in reply["error"]["message"]
        assert descriptors(it) == before
        assert not device_exists(netns, "c62")
        client.call("delete", name="c0")
        client.call("connect", name="c62", netns=netns)
        client.close()


def test_running_out_of_descriptors_refuses_the_port_and_nothing_else(pair: Pair) -> None:
    with instance(pair.config()) as it, namespace() as netns:
        supervisor = psutil.Process(it.process.pid)
        client = Client(it)
        supervisor.rlimit(psutil.RLIMIT_NOFILE, (supervisor.num_fds() + 3, 20_000))
        reply: dict[str, Any] = {}
        for count in range(8):
            reply = client.ask("connect", name=f"c{count}", netns=netns)
            if "error" in reply:
                break
        assert "open" in reply["error"]["message"]  # too many open files
        assert reply["error"]["data"]["exit_code"] == 1
        supervisor.rlimit(psutil.RLIMIT_NOFILE, (20_000, 20_000))
        client.call("connect", name="again", netns=netns)
        client.close()
        assert_all_arrive(it, pair.left, pair.right)
        assert it.process.poll() is None

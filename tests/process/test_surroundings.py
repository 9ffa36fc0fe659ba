# SPDX-License-Identifier: Apache-2.0
"""Devices, namespaces and files that others make, change or remove while an instance runs."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.commands import ip, run, unique
from tests.support.instance import TTFWD, Instance, instance
from tests.support.netns import device_exists, namespace, namespace_exists, remove_namespace
from tests.support.wait import wait_until


@pytest.fixture
def it() -> Iterator[Instance]:
    with instance("queues = 2\n") as running:
        yield running


@pytest.fixture
def netns() -> Iterator[str]:
    with namespace() as name:
        yield name


def _connected(it: Instance, port: str, netns: str, *words: str) -> None:
    it.cli("connect", port, "--netns", netns, "--driver", "tap", *words)
    assert device_exists(netns, port)


def test_a_device_of_another_kind_is_refused_and_the_instance_goes_on(it: Instance, netns: str) -> None:
    ip("tuntap", "add", "dev", "layer3", "mode", "tun", netns=netns)
    for words, says in (
        (["lo", "--driver", "tap"], "a device of that name exists and is not a tap"),
        (["layer3", "--driver", "packet"], "is not an Ethernet device"),
    ):
        refused = it.cli("connect", *words, "--netns", netns, code=1)
        assert says in refused.stderr
        assert "Traceback" not in refused.stderr
    assert "UP" not in ip("-o", "link", "show", "dev", "layer3", netns=netns).partition(">")[0]
    _connected(it, "t0", netns)


def test_a_namespace_that_was_removed_and_made_again_is_another_one(it: Instance, netns: str) -> None:
    _connected(it, "t0", netns)
    it.cli("delete", "t0")
    before = it.supervisor_fds()
    for _ in range(3):
        ip("netns", "del", netns)
        ip("netns", "add", netns)
        _connected(it, "t0", netns)
        it.cli("delete", "t0")
    # On a busy machine a standby that was starting had some at the first look.
    wait_until(lambda: it.supervisor_fds() <= before, "the supervisor has no more descriptors than before")


def test_a_namespace_of_somebody_else_is_never_removed(it: Instance) -> None:
    netns = unique("ts")
    _connected(it, "t0", netns)  # makes it
    ip("netns", "del", netns)
    ip("netns", "add", netns)
    try:
        _connected(it, "t1", netns)
        it.cli("delete", "t0")
        assert device_exists(netns, "t1")
        it.cli("delete", "t1")
        assert namespace_exists(netns)
    finally:
        remove_namespace(netns)


def test_a_tap_that_stays_may_have_its_address_already(it: Instance, netns: str) -> None:
    ip("tuntap", "add", "t0", "mode", "tap", "multi_queue", netns=netns)
    for _ in range(2):
        _connected(it, "t0", netns, "--address", "10.95.0.1/24")
        assert ip("-o", "address", "show", "dev", "t0", netns=netns).count("10.95.0.1/24") == 1
        it.cli("delete", "t0")


def test_peers_are_those_of_the_present(it: Instance, netns: str) -> None:
    _connected(it, "a", netns)
    _connected(it, "b", netns, "--peer", "a")
    it.cli("delete", "a")
    _connected(it, "c", netns, "--peer", "b")
    _connected(it, "a", netns)
    _connected(it, "d", netns, "--peer", "a")
    it.cli("delete", "c")
    _connected(it, "e", netns, "--peer", "b")
    ports = it.stats_json()["ports"]
    assert {port["name"]: port["peer"] for port in ports} == {"a": "d", "d": "a", "b": "e", "e": "b"}


def test_a_hang_up_that_whoever_started_it_ignores_is_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with instance("queues = 2\n") as it:
            it.process.send_signal(signal.SIGHUP)
            with pytest.raises(subprocess.TimeoutExpired):
                it.process.wait(1)
            assert it.stats().instance.state == "running"
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_second_detached_start_leaves_the_log_alone(it: Instance, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("queues = 2\n")
    log = it.directory / f"{it.name}.log"
    log.write_text("what happened so far\n")
    refused = run(*(TTFWD, "start", "--detach", "-c", config, "--name", it.name), code=1, env=it.environment)
    assert "is already running" in refused.stderr
    assert log.read_text() == "what happened so far\n"


def test_a_configuration_that_can_be_read_once_only_is_refused(it: Instance) -> None:
    refused = run(
        "sh", "-c", f"echo queues = 2 | {TTFWD} start --detach -c /dev/stdin", code=1, env=it.environment
    )
    assert "not a regular file" in refused.stderr

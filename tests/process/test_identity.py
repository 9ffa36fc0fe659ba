# SPDX-License-Identifier: Apache-2.0
"""What isn't ours is never touched, and what is ours is never left: namespaces and devices by identity."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.process.topology import link
from tests.support.commands import in_namespace, ip, run, unique
from tests.support.instance import TTFWD, Instance, instance
from tests.support.netns import NETNS, device_exists, namespace, namespace_exists, remove_namespace
from tests.support.wait import wait_until

EMPTY = "queues = 1\n"


@pytest.fixture
def made() -> Iterator[str]:
    """The name of a namespace that an instance makes."""
    name = unique("tm")
    yield name
    remove_namespace(name)


@pytest.fixture
def netns() -> Iterator[str]:
    """A namespace with a veth pair v0, v1 that is down."""
    with namespace() as name:
        add_veth(name)
        yield name


def add_veth(netns: str, *words: str) -> None:
    ip("link", "add", "v0", *words, "type", "veth", "peer", "name", "v1", netns=netns)


def is_up(netns: str, device: str) -> bool:
    return "UP" in list(link(netns, device)["flags"])  # type: ignore[call-overload]


def tap(name: str, netns: str) -> str:
    return f'queues = 1\nmode = "rxonly"\n[[port]]\nname = "{name}"\ndriver = "tap"\nnetns = "{netns}"\n'


def packet(name: str, netns: str) -> str:
    return tap(name, netns).replace('"tap"', '"packet"')


def start(it: Instance, config: str, name: str | None = None, code: int = 0) -> str:
    """Start an instance in the background. Returns its log, or the error."""
    name = name or it.name
    path = it.directory / f"{name}.toml"
    path.write_text(config)
    done = run(*(TTFWD, "start", "-c", path, "--name", name, "--detach"), env=it.environment, code=code)
    return done.stderr if code else (it.directory / f"{name}.log").read_text()


def stop(it: Instance, name: str | None = None, code: int = 0) -> str:
    """Stop an instance that start() started. Returns what the command says, and the log after it."""
    name = name or it.name
    done = run(TTFWD, "stop", "--name", name, env=it.environment, code=code)
    return done.stdout + done.stderr + (it.directory / f"{name}.log").read_text()


@contextmanager
def killed(config: str) -> Iterator[Instance]:
    """An instance whose supervisor was killed."""
    with instance(config) as it:
        it.expect_crash()
        it.process.kill()
        it.process.wait()
        yield it


def test_a_namespace_that_its_owner_made_again_isnt_removed_after_a_crash(made: str) -> None:
    with killed(tap("t0", made)) as it:
        ip("netns", "del", made)
        ip("netns", "add", made)
        log = start(it, EMPTY)
        assert f'network namespace "{made}" is left as it is' in log
        stop(it)
        assert namespace_exists(made)


def test_a_name_without_a_namespace_is_removed_after_a_crash(made: str) -> None:
    """The supervisor may die between the making of the name and the mount."""
    with killed(tap("t0", made)) as it:
        ip("netns", "del", made)
        (NETNS / made).touch(mode=0)
        start(it, tap("t0", made))
        assert device_exists(made, "t0")
        stop(it)
        assert not namespace_exists(made)


def test_another_device_of_the_same_name_isnt_set_down(netns: str) -> None:
    """Not even with the same index, which the kernel gives out again on request."""
    with instance(packet("v0", netns)) as it:
        index = str(link(netns, "v0")["ifindex"])
        ip("link", "del", "v0", netns=netns)
        add_veth(netns, "index", index)
        ip("link", "set", "v0", "up", netns=netns)
        it.stop()
        assert is_up(netns, "v0")
    ip("link", "set", "v0", "down", netns=netns)
    with killed(packet("v0", netns)) as it:
        ip("link", "del", "v0", netns=netns)
        add_veth(netns, "index", index)
        ip("link", "set", "v0", "up", netns=netns)
        assert 'device "v0" in network namespace' in start(it, EMPTY)
        stop(it)
        assert is_up(netns, "v0")


def test_a_device_is_set_down_again_under_its_new_name_and_mac(netns: str) -> None:
    with instance(packet("v0", netns)) as it:
        assert is_up(netns, "v0")
        ip("link", "set", "v0", "down", netns=netns)
        ip("link", "set", "v0", "name", "w0", "address", "02:00:00:00:00:99", netns=netns)
        ip("link", "set", "w0", "up", netns=netns)
        it.stop()
        assert not is_up(netns, "w0")


@pytest.mark.parametrize("crash", [False, True])
def test_a_tap_that_stays_is_as_it_was(crash: bool) -> None:
    with namespace(ipv6=True) as netns:
        ip("tuntap", "add", "t0", "mode", "tap", "multi_queue", netns=netns)
        ip("link", "set", "t0", "mtu", "9000", "address", "02:00:00:00:00:01", netns=netns)
        for address in ("10.95.0.1/24", "fd95::1/64"):
            ip("address", "add", address, "dev", "t0", netns=netns)
        config = tap("t0", netns) + 'mtu = 1400\nmac = "02:00:00:00:00:02"\n'
        config += 'address = ["10.95.0.1/24", "10.95.1.1/24"]\n'
        with instance(config) as it:
            now = link(netns, "t0")
            assert (now["mtu"], now["address"]) == (1400, "02:00:00:00:00:02")
            assert is_up(netns, "t0")
            if crash:
                it.expect_crash()
                it.process.kill()
                it.process.wait()
                assert f'undone: device "t0" in network namespace "{netns}": ' in start(it, EMPTY)
                stop(it)
        now = link(netns, "t0")
        assert (now["mtu"], now["address"]) == (9000, "02:00:00:00:00:01")
        assert not is_up(netns, "t0")
        shown = ip("-o", "address", "show", "dev", "t0", netns=netns)
        assert "10.95.0.1/24" in shown
        assert "fd95::1/64" in shown  # the kernel drops it when the link goes down
        assert "10.95.1.1/24" not in shown


def test_a_namespace_stays_while_another_instance_uses_it(made: str) -> None:
    other = unique("t")
    with instance(tap("t0", made)) as it:
        it.expect_crash()  # what it made stays: not an end as others
        start(it, tap("t1", made), name=other)
        said = run(TTFWD, "stop", "--name", it.name, env=it.environment).stderr
        assert f'instance "{other}" has ports in it' in said
        assert f"ip netns delete {made}" in said
        it.process.wait()
        assert it.process.returncode == 0
        assert said.partition("stays")[2][:20] in it.log
        assert device_exists(made, "t1")
        stop(it, other)
        assert namespace_exists(made)  # the other one didn't make it
        log = start(it, tap("t0", made))  # the one that made it removes it
        assert f'undone: network namespace "{made}"' in log
        stop(it)
        assert not namespace_exists(made)


def test_a_namespace_stays_while_somebody_elses_processes_or_devices_are_in_it(made: str) -> None:
    with instance(tap("t0", made)) as it:
        it.expect_crash()
        sleep = subprocess.Popen(in_namespace(made, "sleep", "60"))
        try:
            ip("link", "add", "d0", "type", "veth", "peer", "name", "d1", netns=made)
            it.cli("delete", "t0")
            assert f"process {sleep.pid} (" in it.log
            assert 'device "d0" is in it' in it.log
            assert namespace_exists(made)
            it.cli("connect", "t0", "--netns", made, "--driver", "tap")
            ip("link", "del", "d0", netns=made)
        finally:
            sleep.kill()
            sleep.wait()
        it.stop()
        assert not namespace_exists(made)


def test_what_cant_be_removed_is_said_and_tried_again_by_the_next_start(made: str) -> None:
    with instance(tap("t0", made)) as it:
        it.expect_crash()
        run("mount", "--bind", NETNS / made, NETNS / made)  # two mounts, where we remove one
        try:
            said = run(TTFWD, "stop", "--name", it.name, env=it.environment, code=1).stderr
        finally:
            run("umount", NETNS / made, code=None)
        assert f'left network namespace "{made}"' in said
        it.process.wait()
        assert it.process.returncode == 1
        assert f'network namespace "{made}" can\'t be removed' in it.log
        assert "every packet is accounted for" in it.output
        assert "Traceback" not in it.log


def test_a_packet_device_is_of_one_instance(netns: str) -> None:
    other = unique("t")
    with killed(packet("v0", netns)) as dead, instance(packet("v0", netns)) as it:
        assert dead.name != it.name  # claims go with their holder
        refusal = f'port "v0": instance "{it.name}" forwards its packets already'
        assert refusal in start(it, packet("v0", netns), name=other, code=1)
        start(it, packet("v1", netns), name=other)
        assert (
            refusal
            in run(
                *(TTFWD, "connect", "v0", "--netns", netns, "--driver", "packet", "--name", other),
                env=it.environment,
                code=1,
            ).stderr
        )
        ip("link", "property", "add", "dev", "v0", "altname", "v0-too", netns=netns)
        same = it.cli("connect", "v0-too", "--netns", netns, "--driver", "packet", code=1)
        assert f'instance "{it.name}" forwards its packets already' in same.stderr
        it.cli("delete", "v0")
        run(
            *(TTFWD, "connect", "v0", "--netns", netns, "--driver", "packet", "--name", other),
            env=it.environment,
        )
        stop(it, other)


def test_a_device_that_is_gone_is_nobodys(netns: str) -> None:
    other = unique("t")
    with instance(packet("v0", netns)) as it:
        index = str(link(netns, "v0")["ifindex"])
        ip("link", "del", "v0", netns=netns)
        wait_until(lambda: "gone" in it.log, "the instance knows")
        add_veth(netns, "index", index)
        start(it, packet("v0", netns), name=other)
        stop(it, other)


def test_a_namespace_in_use_by_our_own_tap_goes_with_it(made: str, netns: str) -> None:
    """A tap may be moved into a namespace that another port's tap is in, and close after it."""
    with instance(tap("t0", made)) as it:
        it.cli("connect", "t1", "--netns", netns, "--driver", "tap")
        ip("link", "set", "t1", "netns", made, netns=netns)
        it.stop()
        assert not namespace_exists(made)


def test_a_namespace_may_have_two_names(made: str) -> None:
    second = unique("tm")
    with instance(tap("t0", made)) as it:
        (NETNS / second).touch()
        run("mount", "--bind", NETNS / made, NETNS / second)
        try:
            it.cli("connect", "t1", "--netns", second, "--driver", "tap")
            it.cli("delete", "t0")
            assert device_exists(second, "t1")
            it.stop()
        finally:
            ip("netns", "delete", second)


def test_a_damaged_journal_is_an_error_and_not_a_silence(tmp_path: Path) -> None:
    with instance(EMPTY) as it:
        it.expect_crash()
        it.process.kill()
        it.process.wait()
        (it.directory / f"{it.name}.journal").write_text(json.dumps({"namespaces": ["lab"]}))
        log = start(it, EMPTY)
        assert "ERROR" in log
        assert "the journal is damaged" in log
        stop(it)

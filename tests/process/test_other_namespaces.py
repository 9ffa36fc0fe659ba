# SPDX-License-Identifier: Apache-2.0
"""An instance in namespaces of its own, as containers and `ip netns exec` have them. Its pids mean other
processes elsewhere, it sees files that others don't, and its capabilities count for less."""

from __future__ import annotations

import os
import re
import sys
import time
from pathlib import Path

import pytest

from tests.support.commands import ip, run, unique
from tests.support.instance import STOP_TIMEOUT_S, TTFWD, Instance, instance
from tests.support.netns import namespace

NEW_PIDS = ("unshare", "--pid", "--fork", "--mount-proc")
RXONLY = 'mode = "rxonly"\nqueues = 2\n'


def stop(it: Instance, *prefix: str) -> None:
    began = time.monotonic()
    done = run(*prefix, TTFWD, "stop", "--name", it.name, env=it.environment)
    assert done.stdout == f'instance "{it.name}" stopped\n'
    assert time.monotonic() - began < STOP_TIMEOUT_S  # it waited for nobody else's process
    it.process.wait(STOP_TIMEOUT_S)


def test_an_instance_in_another_pid_namespace_is_seen_and_stopped() -> None:
    for others in ((), NEW_PIDS):  # the host sees its pid, a third namespace doesn't
        with instance(RXONLY, prefix=NEW_PIDS) as it:
            shown = it.stats_json()["instance"]
            assert shown["supervisor_pid"] == 1
            assert shown["supervisor_alive"] is True
            words = ("start", "-c", it.directory / "config.toml", "--name", it.name)
            refused = run(*others, TTFWD, *words, code=1, env=it.environment)
            assert "is already running: process 1 of another PID namespace" in refused.stderr
            stop(it, *others)


def test_an_instance_of_the_host_is_stopped_from_another_pid_namespace() -> None:
    with instance(RXONLY) as it:
        stop(it, *NEW_PIDS)
        assert it.process.returncode == 0


def test_the_commands_that_a_start_prints_work_in_any_terminal_of_the_host() -> None:
    """`ip netns exec` has a mount namespace of its own: the host doesn't see the namespaces made in it."""
    left, right = unique("tl"), unique("tr")
    config = "".join(
        f'[[port]]\nname = "{port}"\nnetns = "{netns}"\naddress = ["10.9.0.{host}/24"]\n{peer}'
        for port, netns, host, peer in (("p0", left, 1, ""), ("p1", right, 2, 'peer = "p0"\n'))
    )
    with namespace() as netns, instance(config, prefix=("ip", "netns", "exec", netns)) as it:
        printed = re.search(r"try: (.*)", it.log)
        assert printed is not None
        ping, watch, stop = printed[1].split("; ")
        assert ping == f"nsenter --mount --target {it.process.pid} ip netns exec {left} ping -c 3 10.9.0.2"
        run(*ping.replace("-c 3", "-c 1").split())
        assert watch == f"ttfwd stats --watch --name {it.name}"
        assert stop == f"ttfwd stop --name {it.name}"
        run(TTFWD, *stop.split()[1:], env=it.environment)
        assert it.process.wait(STOP_TIMEOUT_S) == 0


def without(capability: str) -> tuple[str, ...]:
    """A command that runs another as root without a capability."""
    return ("setpriv", f"--bounding-set=-{capability}", f"--inh-caps=-{capability}")


def packet_port(netns: str) -> str:
    ip("link", "add", "v0", "type", "veth", "peer", "name", "v1", netns=netns)
    for device in ("v0", "v1"):
        ip("link", "set", device, "up", netns=netns)
    return f'mode = "rxonly"\n[[port]]\nname = "v0"\ndriver = "packet"\nnetns = "{netns}"\n'


CONTAINER = "+chown,+dac_override,+fowner,+fsetid,+kill,+setgid,+setuid,+setpcap,+net_raw,+sys_chroot,+mknod"


def test_driver_packet_does_with_the_capabilities_that_a_container_has() -> None:
    with namespace() as netns:
        config = packet_port(netns).replace(f'netns = "{netns}"\n', "")
        fewer = ("setpriv", f"--bounding-set=-all,{CONTAINER}", "--inh-caps=-all")
        with instance(config, prefix=("ip", "netns", "exec", netns, *fewer)) as it:
            assert "net.core.rmem_max bounds them without CAP_NET_ADMIN" in it.log
            assert it.stats().ports[0].driver == "packet"


@pytest.mark.parametrize(
    ("capability", "driver", "says"),
    [
        ("net_raw", "packet", 'packet device "v0": not permitted: CAP_NET_RAW is missing'),
        ("net_admin", "tap", 'tap device "x0": not permitted: CAP_NET_ADMIN is missing'),
    ],
)
def test_the_capability_that_is_missing_is_named(
    tmp_path: Path, capability: str, driver: str, says: str
) -> None:
    with namespace() as netns:
        config = tmp_path / "config.toml"
        tap = f'mode = "rxonly"\n[[port]]\nname = "x0"\ndriver = "tap"\nnetns = "{netns}"\n'
        config.write_text(packet_port(netns) if driver == "packet" else tap)
        name, environment = unique("t"), {**os.environ, "TTFWD_RUNTIME_DIR": str(tmp_path)}
        refused = run(
            *without(capability), TTFWD, "start", "-c", config, "--name", name, code=77, env=environment
        )
        assert refused.stderr.startswith(f"ttfwd: {says}")
        assert refused.stderr.count("\n") == 1


OPEN = """
from forwarder.devices.packet_sockets import open_queues
from forwarder.devices.place import Place
from forwarder.errors import TtfwdError
try:
    print(open_queues("lo", Place.named(None), 2))
except TtfwdError as error:
    print(error)
"""


def test_root_of_a_user_namespace_may_use_the_devices_of_it_alone() -> None:
    assert run("unshare", "-rn", sys.executable, "-c", OPEN).stdout.startswith("([")
    assert run("unshare", "-r", sys.executable, "-c", OPEN).stdout == (
        'packet device "lo": not permitted: CAP_NET_RAW counts in its user namespace, '
        "which the network namespace isn't part of\n"
    )

# SPDX-License-Identifier: Apache-2.0
"""The units of deploy/ under a real systemd: one host for all tests of this file."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import forwarder
from tests.process import hasty_supervisor, sandbox_probe
from tests.support.service_host import ServiceHost, service_host
from tests.support.wait import wait_until

UNITS = "etc/systemd/system"
WORKER = Path(forwarder.__file__).parent / "worker/main.py"


def xconnect(net: int, driver: str = "tap") -> str:
    """Two ports, each in a namespace of its own."""
    port = '[[port]]\nname = "p{0}"\ndriver = "{1}"\nnetns = "{2}"\naddress = ["10.77.{3}.{0}/24"]\n'
    one = port.format(1, driver, f"left{net}", net)
    other = port.format(2, driver, f"right{net}", net)
    return f'queues = 2\nmode = "xconnect"\n{one}peer = "p2"\n{other}'


def wants(*namespaces: str) -> str:
    units = " ".join(f"ttfwd-netns@{name}.service" for name in namespaces)
    return f"[Unit]\nWants={units}\nAfter={units}\n"


def instances() -> dict[str, str]:
    """The configuration of each instance, and a drop-in that has its namespaces made."""
    files = {}
    for net, name in enumerate(("boot", "crash", "hang", "ill", "stop", "fields")):
        files[f"etc/ttfwd/{name}.toml"] = f'name = "{name}"\n' + xconnect(net)
        files[f"{UNITS}/ttfwd@{name}.service.d/namespaces.conf"] = wants(f"left{net}", f"right{net}")
    return files


FILES = {
    **instances(),
    "etc/ttfwd/wire.toml": 'name = "wire"\n[[port]]\nname = "near"\ndriver = "packet"\npeer = "far"\n'
    '[[port]]\nname = "far"\ndriver = "packet"\n',
    "etc/ttfwd/long.toml": 'name = "long"\nmode = "rxonly"\n'
    "heartbeat_timeout_ms = 4000\ndrain_timeout_ms = 20000\n",
    f"{UNITS}/ttfwd@long.service.d/patience.conf": "[Service]\nTimeoutStopSec=2\n",
    "etc/ttfwd/late.toml": 'name = "late"\nmode = "rxonly"\n[[port]]\nname = "p1"\nnetns = "later"\n',
    "etc/ttfwd/wrong.toml": 'name = "wrong"\nqueues = 0\n',
    f"{UNITS}/ttfwd@hang.service.d/watchdog.conf": "[Service]\nWatchdogSec=5\n",
    f"{UNITS}/ttfwd@ill.service.d/watchdog.conf": "[Service]\nWatchdogSec=2\nExecStart=\n"
    f"ExecStart={sys.executable} {hasty_supervisor.__file__} start -c /etc/ttfwd/%i.toml\n",
    f"{UNITS}/ttfwd@probe.service.d/probe.conf": "[Service]\nType=oneshot\nWatchdogSec=0\nExecStart=\n"
    f"ExecStart={sys.executable} {sandbox_probe.__file__}\n",
    "home/somebody/secret": "",
    "root/secret": "",
}


@pytest.fixture(scope="module")
def host() -> Iterator[ServiceHost]:
    with service_host(FILES, enabled=["ttfwd@boot.service"]) as it:
        yield it


def ping(host: ServiceHost, net: int) -> None:
    host.run("ip", "netns", "exec", f"left{net}", "ping", "-q", "-c", "3", "-w", "60", f"10.77.{net}.2")


def worker_pid(host: ServiceHost, instance: str, worker: int = 0) -> int:
    return int(host.stats(instance)["workers"][worker]["pid"])


def restarts_of(host: ServiceHost, instance: str, worker: int = 0) -> int:
    return int(host.stats(instance)["workers"][worker]["restarts"])


def main_pid(host: ServiceHost, unit: str) -> str:
    return host.shows(unit, "MainPID")


def test_the_units_are_valid_and_well_shut_in(host: ServiceHost) -> None:
    for unit in ("ttfwd@.service", "ttfwd-netns@.service", "ttfwd-exporter.service"):
        assert host.run("systemd-analyze", "verify", f"/{UNITS}/{unit}") == ""
    # Ten times the exposure that systemd reckons: docs/security.md says what it consists of.
    host.run("systemd-analyze", "security", "--no-pager", "--threshold=42", "ttfwd@boot.service")


def test_an_enabled_instance_comes_up_at_boot(host: ServiceHost) -> None:
    """With its namespaces, which the unit itself can't make."""
    host.wait("ttfwd@boot", "active")
    ping(host, 0)
    assert host.shows("ttfwd@boot", "StatusText") == "2 workers, 2 ports"
    assert main_pid(host, "ttfwd@boot") == str(host.stats("boot")["instance"]["supervisor_pid"])
    assert host.shows("ttfwd@boot", "OOMScoreAdjust") == "-500"
    assert "not permitted" not in host.messages("ttfwd@boot"), "the workers' own sandbox is whole"
    # One that is made later can be entered, too.
    host.run("ip", "netns", "add", "younger")
    host.run("ttfwd", "connect", "p3", "--driver", "tap", "--netns", "younger", "--name", "boot")
    host.run("ip", "-n", "younger", "link", "show", "dev", "p3")


def test_the_exporter_reads_the_memory_of_instances(host: ServiceHost) -> None:
    host.run("systemctl", "start", "ttfwd-exporter")
    running = 'ttfwd_instance_state{state="running",ttfwd="boot"} 1.0'
    ask = ("curl", "--silent", "--retry", "20", "--retry-connrefused", "http://127.0.0.1:9467/metrics")
    assert running in host.run(*ask).splitlines()
    host.run("systemctl", "stop", "ttfwd-exporter")
    assert host.shows("ttfwd-exporter", "Result") == "success"


def test_driver_packet_forwards_between_devices_of_the_host(host: ServiceHost) -> None:
    for number, name in enumerate(("near", "far"), 1):
        host.run("ip", "netns", "add", name)
        host.run("ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
        host.run("ip", "link", "set", name, "up")
        host.run("ip", "-n", name, "address", "add", f"10.78.0.{number}/24", "dev", "eth0")
        host.run("ip", "-n", name, "link", "set", "eth0", "up")
    host.systemctl("start", "ttfwd@wire")
    host.run("ip", "netns", "exec", "near", "ping", "-q", "-c", "3", "-w", "60", "10.78.0.2")
    host.systemctl("stop", "ttfwd@wire")


def test_a_missing_namespace_is_named_with_what_makes_it(host: ServiceHost) -> None:
    host.systemctl("start", "ttfwd@late", code=1)
    log = host.messages("ttfwd@late")
    assert 'network namespace "later" can\'t be made: ' in log
    assert "/run/netns is read-only here. Make it before: `ip netns add later`" in log
    assert "`systemctl start ttfwd-netns@later`" in log
    host.systemctl("start", "ttfwd-netns@later")
    host.wait("ttfwd@late", "active")  # a failed start is tried again
    host.systemctl("stop", "ttfwd@late")
    host.systemctl("stop", "ttfwd-netns@later")
    assert "later" not in host.run("ip", "netns", "list")


def test_a_namespace_that_somebody_made_stays(host: ServiceHost) -> None:
    host.run("ip", "netns", "add", "theirs")
    host.systemctl("start", "ttfwd-netns@theirs")
    host.systemctl("stop", "ttfwd-netns@theirs")
    assert "theirs" in host.run("ip", "netns", "list")


def test_a_wrong_configuration_is_not_tried_again(host: ServiceHost) -> None:
    host.systemctl("start", "ttfwd@wrong", code=1)
    assert host.shows("ttfwd@wrong", "ActiveState") == "failed"
    assert host.shows("ttfwd@wrong", "NRestarts") == "0"
    assert "/etc/ttfwd/wrong.toml: queues: " in host.messages("ttfwd@wrong")


def test_a_stop_drains(host: ServiceHost) -> None:
    host.systemctl("start", "ttfwd@stop")
    ping(host, 4)
    host.systemctl("stop", "ttfwd@stop")
    assert host.shows("ttfwd@stop", "Result") == "success"
    log = host.messages("ttfwd@stop")
    assert "\ndraining\n" in log
    assert "every packet is accounted for" in log
    assert "died" not in log
    for left in ("/run/ttfwd/stop.sock", "/dev/shm/ttfwd.stop.stats"):
        host.run("test", "-e", left, code=1)


def test_systemd_waits_for_a_drain_that_takes_long(host: ServiceHost) -> None:
    """Until the worker that hangs is killed, which is later than the unit permits."""
    host.systemctl("start", "ttfwd@long")
    host.run("kill", "-STOP", str(worker_pid(host, "long")))
    host.systemctl("stop", "ttfwd@long")
    assert host.shows("ttfwd@long", "Result") == "success"
    assert "worker 0 died: no heartbeat for 4.0 s" in host.messages("ttfwd@long")


def test_a_crash_is_followed_by_a_restart(host: ServiceHost) -> None:
    host.systemctl("start", "ttfwd@crash")
    pid = main_pid(host, "ttfwd@crash")
    host.run("kill", "-KILL", pid)
    wait_until(lambda: main_pid(host, "ttfwd@crash") not in ("0", pid), "it is started again")
    host.wait("ttfwd@crash", "active")
    ping(host, 1)
    host.systemctl("stop", "ttfwd@crash")
    # The runtime directory is that of every instance: another one's socket is still there.
    host.stats("boot")


def test_a_hung_worker_is_replaced_and_a_hung_supervisor_restarted(host: ServiceHost) -> None:
    host.systemctl("start", "ttfwd@hang")
    host.run("kill", "-STOP", str(worker_pid(host, "hang")))
    wait_until(lambda: restarts_of(host, "hang") == 1, "the worker is replaced")
    ping(host, 2)
    assert host.shows("ttfwd@hang", "NRestarts") == "0"
    host.run("kill", "-STOP", main_pid(host, "ttfwd@hang"))
    wait_until(lambda: host.shows("ttfwd@hang", "NRestarts") != "0", "the watchdog fires")
    host.wait("ttfwd@hang", "active")
    ping(host, 2)
    assert "ttfwd@hang.service: Watchdog timeout (limit 5s)!" in host.messages("ttfwd@hang")
    host.systemctl("stop", "ttfwd@hang")


def test_the_watchdog_fires_for_a_worker_that_never_gets_well(host: ServiceHost) -> None:
    host.systemctl("start", "ttfwd@ill")
    host.run("mount", "--bind", "/dev/null", WORKER)  # no process of a worker starts any more
    try:
        others = set(host.processes("ttfwd@ill")) - {main_pid(host, "ttfwd@ill")}
        # Workers, and what stands by to replace them, unless it has just ended by itself.
        host.run("kill", "-KILL", *others, code=None)
        wait_until(lambda: "Watchdog timeout" in host.messages("ttfwd@ill"), "the watchdog fires")
    finally:
        host.run("umount", WORKER)
    host.wait("ttfwd@ill", "active")
    assert "no remedy helps worker 0, 1: the service manager's watchdog isn't fed" in host.messages(
        "ttfwd@ill"
    )
    host.systemctl("stop", "ttfwd@ill")


def test_log_lines_have_fields(host: ServiceHost) -> None:
    host.systemctl("start", "ttfwd@fields")
    pid = worker_pid(host, "fields", 1)
    host.run("kill", "-KILL", str(pid))
    wait_until(lambda: restarts_of(host, "fields", 1) == 1, "it is replaced")
    host.run("ttfwd", "connect", "p3", "--driver", "tap", "--netns", "left5", "--name", "fields")
    host.systemctl("stop", "ttfwd@fields")
    died = host.journal("ttfwd@fields", "INSTANCE=fields", "WORKER=1")[0]
    assert died["MESSAGE"].startswith("worker 1 died: signal SIGKILL")
    assert died["REASON"].startswith("signal SIGKILL")
    assert died["PRIORITY"] == "3"
    assert died["SYSLOG_IDENTIFIER"] == "ttfwd"
    (connected,) = host.journal("ttfwd@fields", "PORT=p3")
    assert connected["MESSAGE"].startswith("port p3 connected: tap, 2 queues")
    assert connected["PRIORITY"] == "6"
    assert "WORKER" not in connected


def test_the_sandbox(host: ServiceHost) -> None:
    """What the service can't do, and what would be possible without its sandbox."""
    host.run("touch", "/tmp/secret")
    host.run("mknod", "/dev/probe", "c", "1", "11")  # the kernel's log
    free = json.loads(host.run(sys.executable, sandbox_probe.__file__))
    host.systemctl("start", "ttfwd@probe")
    shut_in = json.loads(next(line for line in host.messages("ttfwd@probe").splitlines() if line[0] == "{"))
    refusals = ("EPERM", "EACCES", "EROFS", "ENOENT", "EAFNOSUPPORT")
    assert {what: shut_in[what] for what in sandbox_probe.REFUSED if shut_in[what] not in refusals} == {}
    same = {what for what in sandbox_probe.REFUSED if free[what] == shut_in[what]}
    assert same <= sandbox_probe.RARELY_POSSIBLE
    assert {shut_in[what] for what in sandbox_probe.PERMITTED} == {sandbox_probe.DONE}

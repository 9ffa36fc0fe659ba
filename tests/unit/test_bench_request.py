# SPDX-License-Identifier: Apache-2.0
"""What the user asks for: CPUs that don't overlap, words that go together, ports between which packets go."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from forwarder.bench import external
from forwarder.bench.cpus import ChosenCpus, parse_option, place_tester
from forwarder.bench.external import External, parse_endpoint
from forwarder.bench.instance_ports import endpoint_of, ports_between
from forwarder.bench.profile import BenchProfile
from forwarder.bench.request import Request
from forwarder.config.cpus import Topology
from forwarder.errors import DeviceError, UsageError
from forwarder.stats.snapshot import Instance, Port, Snapshot
from forwarder.tester.trial import Endpoint

SIBLINGS = Topology({0: frozenset({0, 4}), 4: frozenset({0, 4})}, {})
ALONE = Topology({}, {})
A, B = Endpoint("a"), Endpoint("b")


# ----------------------------------------------------------------------------------------------------- CPUs


@pytest.mark.parametrize(
    ("dut", "allowed", "directions", "generators", "receiver"),
    [
        ((1,), (0, 1), 1, (0,), (0,)),
        ((1,), (0, 1), 2, (0,), (0,)),
        ((1,), (0, 1, 2, 3), 1, (2,), (3, 0)),  # CPU 0 last: most interrupts are there
        ((1,), (0, 1, 2, 3), 2, (2, 3), (0,)),
        ((), (5,), 1, (5,), (5,)),
    ],
)
def test_the_tester_gets_cpus_that_the_dut_has_not(
    dut: tuple[int, ...],
    allowed: tuple[int, ...],
    directions: int,
    generators: tuple[int, ...],
    receiver: tuple[int, ...],
) -> None:
    found = place_tester(None, dut, allowed, directions, topology=ALONE)
    assert found == ChosenCpus(generators, receiver, shared=False)


def test_a_core_that_the_dut_shares_comes_last() -> None:
    assert place_tester(None, (4,), (0, 1, 4), 1, topology=SIBLINGS).generators == (1,)


def test_without_a_free_cpu_it_is_refused_or_marked() -> None:
    with pytest.raises(UsageError, match=r"every CPU that there is \(0-1\).*--allow-shared-cpus"):
        place_tester(None, (0, 1), (0, 1), 1, topology=ALONE)
    assert place_tester(None, (0, 1), (0, 1), 1, share=True, topology=ALONE).shared


def test_wanted_cpus_are_refused_if_the_dut_has_them_too() -> None:
    with pytest.raises(UsageError, match="--tester-cpus: CPU 1 is the device under test's as well"):
        place_tester("0,1", (1,), (0, 1, 2), 2)
    assert place_tester("0,1", (1,), (0, 1, 2), 2, share=True) == ChosenCpus((0, 1), (0, 1), shared=True)
    assert place_tester("2,0", (1,), (0, 1, 2), 1) == ChosenCpus((2,), (0,), shared=False)


@pytest.mark.parametrize("text", ["", "x", "1-", "9", "0,0"])
def test_a_wrong_list_of_cpus_names_its_option(text: str) -> None:
    with pytest.raises(UsageError, match=r"^--dut-cpus: "):
        parse_option("--dut-cpus", text, (0, 1))


# -------------------------------------------------------------------------------------------------- request


def request(**given: object) -> Request:
    return replace(Request("mrr", BenchProfile(), Path("out")), **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "no device under test"),
        ({"config": Path("a"), "external": (A, B)}, "name one"),
        ({"test": "selftest", "instance": "x"}, "the self-test is of the tester alone"),
        ({"test": "reset", "external": (A, B)}, "reset is of an instance"),
        ({"external": (A, B), "ports": ("a", "b")}, "--ports and --ends are of an instance"),
        ({"instance": "x", "dut_cpus": "1"}, "--dut-cpus and --dut-pid are for --external"),
        ({"instance": "x", "dut_pids": (1,)}, "--dut-cpus and --dut-pid are for --external"),
        ({"external": (A, B), "dut_pids": (1,)}, "--dut-pid needs --dut-cpus"),
        ({"instance": "x", "profile": BenchProfile(repeat=2)}, "--repeat needs a DUT that can be started"),
        ({"test": "soak", "config": Path("a"), "profile": BenchProfile(repeat=2)}, "--repeat is for mrr"),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_refused(given: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        request(**given).check()


@pytest.mark.parametrize(
    ("given", "starts"),
    [
        ({"config": Path("a")}, 3),
        ({"config": Path("a"), "profile": BenchProfile(repeat=5)}, 5),
        ({"config": Path("a"), "test": "soak"}, 1),
        ({"instance": "x"}, 1),
        ({"external": (A, B)}, 1),
        ({"test": "quick", "config": Path("a")}, 1),
    ],
)
def test_only_what_is_ours_is_started_several_times(given: dict[str, object], starts: int) -> None:
    asked = request(**given)
    asked.check()
    assert asked.starts == starts


@pytest.mark.parametrize(
    ("text", "endpoint"), [("eth0", Endpoint("eth0")), ("lab/eth0", Endpoint("eth0", "lab"))]
)
def test_an_endpoint_is_a_device_and_maybe_its_namespace(text: str, endpoint: Endpoint) -> None:
    assert parse_endpoint(text) == endpoint


@pytest.mark.parametrize("text", ["", "/", "a/", "/a", "a/b/c"])
def test_what_is_no_endpoint_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="write DEVICE, or NETNS/DEVICE"):
        parse_endpoint(text)


def test_processes_of_an_external_device_are_its_own_and_must_be_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else what they take of their CPU would void each trial."""
    monkeypatch.setattr(external, "require_device", lambda endpoint: None)
    assert External(A, B, (1,), (os.getpid(),)).pids == {os.getpid()}
    assert External(A, B).pids == frozenset()
    with pytest.raises(UsageError, match="--dut-pid: there is no process 4194305"):
        External(A, B, (1,), (os.getpid(), 4194305))  # more than any kernel's pid_max


# ---------------------------------------------------------------------------------------- ports of instances


def port(name: str, peer: str | None = None, **given: object) -> Port:
    found = Port(
        port_id=0,
        generation=0,
        state="up",
        name=name,
        device_name=name,
        link="up",
        driver="tap",
        io=None,
        note="",
        offloads=(),
        netns="",
        mtu=1500,
        mac="",
        ifindex=1,
        peer=peer,
        device=None,
        queues=(),
    )
    return replace(found, **given)  # type: ignore[arg-type]


def snapshot(mode: str, *ports: Port) -> Snapshot:
    instance = Instance(
        name="lab",
        mode=mode,
        steering="queue",
        rx_mode="adaptive",
        state="running",
        supervisor_pid=1,
        supervisor_pid_exists=True,
        supervisor_heartbeat_age_ns=0,
        uptime_s=0.0,
        boot_ms=0.0,
        batch=64,
        ring_slots=512,
        damaged=0,
        epoch=1,
    )
    return Snapshot(taken_ns=0, instance=instance, workers=(), ports=ports, rings=())


def names(pair: tuple[Port, Port]) -> tuple[str, str]:
    return pair[0].name, pair[1].name


FOUR = (port("a", "c"), port("b", "d"), port("c", "a"), port("d", "b"))


def test_the_first_port_is_measured_to_its_peer() -> None:
    assert names(ports_between(snapshot("xconnect", *FOUR), None)) == ("a", "c")
    assert names(ports_between(snapshot("bridge", *FOUR), None)) == ("a", "b")
    assert names(ports_between(snapshot("xconnect", *FOUR), ("d", "b"))) == ("d", "b")
    assert names(ports_between(snapshot("bridge", *FOUR), ("d", "a"))) == ("d", "a")


@pytest.mark.parametrize(
    ("mode", "ports", "wanted", "says"),
    [
        ("macswap", FOUR, None, "in mode macswap"),
        ("xconnect", FOUR[:1], None, "has 1 port"),
        ("xconnect", (), None, "has no port"),
        ("xconnect", FOUR, ("a", "b"), 'the peer of port "a" is c, not b'),
        ("xconnect", FOUR, ("a", "a"), '"a" twice'),
        ("xconnect", FOUR, ("a", "x"), 'no port "x"'),
        ("xconnect", (port("a"), port("b")), None, 'port "a" has no peer'),
    ],
)
def test_ports_between_which_nothing_passes_are_refused(
    mode: str, ports: tuple[Port, ...], wanted: tuple[str, str] | None, says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        ports_between(snapshot(mode, *ports), wanted)


def test_the_testers_device_of_a_tap_is_the_tap_by_its_present_name() -> None:
    assert endpoint_of(port("a", device_name="renamed", netns="left")) == Endpoint("renamed", "left")
    assert endpoint_of(port("a")) == Endpoint("a", None)


def test_a_port_without_a_device_or_in_a_nameless_namespace_can_not_be_reached() -> None:
    with pytest.raises(DeviceError, match="has no device any more"):
        endpoint_of(port("a", link="gone"))
    with pytest.raises(UsageError, match="a network namespace without a name"):
        endpoint_of(port("a", netns="net:[4026532]"))

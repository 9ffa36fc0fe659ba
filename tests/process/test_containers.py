# SPDX-License-Identifier: Apache-2.0
"""The table of docs/containers.md: an instance runs with what a line says, and names what is missing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.capabilities import require_root, require_tun
from tests.support.commands import run
from tests.support.instance import PATIENT, Instance, instance, start_fails

ROOT = Path(__file__).resolve().parents[2]
CONTAINER = ROOT / "tests/support/container.sh"
TUN = "/dev/net/tun"


@dataclass(frozen=True)
class Line:
    """Of the table, without the backquotes."""

    what: str
    capabilities: tuple[str, ...]
    devices: tuple[str, ...]


def _words(cell: str) -> tuple[str, ...]:
    return tuple(re.findall(r"`([^`]+)`", cell))


def table() -> dict[str, Line]:
    text = (ROOT / "docs/containers.md").read_text()
    rows = [row.strip("|").split("|") for row in text.splitlines() if row.startswith("| ")]
    lines = [
        Line(what.strip(), _words(capabilities), _words(devices)) for what, capabilities, devices in rows[1:]
    ]
    return {line.what: line for line in lines}


TABLE = table()


@pytest.fixture(autouse=True)
def _needs() -> None:
    require_root()
    require_tun()


def container(line: Line, *, without: str = "") -> tuple[str, ...]:
    """The command that runs another one as a container, with what a line says but for one part."""
    capabilities = ",".join(word.lower() for word in line.capabilities if word != without)
    devices = " ".join(path.removeprefix("/dev/") for path in line.devices if path != without)
    namespaces = ("unshare", "--mount", "--net", "--propagation", "private")
    return (*namespaces, "sh", str(CONTAINER), capabilities, devices)


def sink(driver: str, more: str = "") -> str:
    """One port that receives what is sent to 10.79.1.0/24."""
    name, address = ("v0", "") if driver == "packet" else ("t0", 'address = ["10.79.2.1/24"]\n')
    keys = "".join(f"{key} = {value}\n" for key, value in PATIENT.items())
    return f'mode = "rxonly"\n{keys}[[port]]\nname = "{name}"\ndriver = "{driver}"\n{address}{more}'


def receives(it: Instance, driver: str, *inside: str) -> None:
    """Somebody asks for an address behind the port, by ARP."""
    net = 1 if driver == "packet" else 2
    enter = ("nsenter", "-t", str(it.process.pid), "--mount", "--net", *inside)
    run(*enter, "ping", "-c", "1", "-W", "1", f"10.79.{net}.9", code=None)
    it.wait(lambda s: s.counters.rx_packets > 0, "the ARP request arrived")


@pytest.mark.parametrize("driver", ["tap", "uring", "packet"])
def test_a_driver_needs_no_more_than_its_line_says(driver: str) -> None:
    with instance(sink(driver), prefix=container(TABLE[f"driver `{driver}`"])) as it:
        receives(it, driver)
        assert it.stats().ports[0].driver == driver


@pytest.mark.parametrize(
    ("driver", "without", "says"),
    [
        ("tap", "NET_ADMIN", 'tap device "t0": not permitted: CAP_NET_ADMIN is missing'),
        ("tap", TUN, f'tap device "t0": {TUN} doesn\'t exist'),
        ("uring", "NET_ADMIN", 'tap device "t0": not permitted: CAP_NET_ADMIN is missing'),
        ("uring", TUN, f'tap device "t0": {TUN} doesn\'t exist'),
        ("packet", "NET_RAW", 'packet device "v0": not permitted: CAP_NET_RAW is missing'),
        # It needs no module: a guest, which takes minutes for it, chooses tests by the word "turbotap-".
        pytest.param("turbotap", "/dev/net/turbotap", "no /dev/net/turbotap", id="module"),
    ],
)
def test_what_a_driver_misses_is_named(driver: str, without: str, says: str) -> None:
    line = TABLE[f"driver `{driver}`"]
    assert without in line.capabilities + line.devices
    refused = start_fails(sink(driver), prefix=container(line, without=without))
    assert says in refused.stderr


def with_also(driver: str, what: str) -> Line:
    """A driver's line, and another one that adds to it."""
    first, also = TABLE[f"driver `{driver}`"], TABLE[what]
    return Line(what, first.capabilities + also.capabilities, first.devices + also.devices)


NETNS = "and ports with `netns`"
USER = "and workers as a user of their own"
SHUT_IN = "and workers in empty namespaces"


def test_ports_in_other_namespaces() -> None:
    config = sink("tap", 'netns = "inner"\n')
    line = with_also("tap", NETNS)
    with instance(config, prefix=container(line)) as it:
        receives(it, "tap", "ip", "netns", "exec", "inner")
    refused = start_fails(config, prefix=container(line, without="SYS_ADMIN"))
    assert (
        'network namespace "inner" can\'t be made: not permitted: CAP_SYS_ADMIN is missing' in refused.stderr
    )


def uids_of_workers(it: Instance) -> set[str]:
    status = [Path(f"/proc/{pid}/status").read_text() for pid in it.worker_pids()]
    return {re.search(r"^Uid:\t(\d+)", text, re.MULTILINE)[1] for text in status}  # type: ignore[index]


def test_workers_as_another_user_and_in_empty_namespaces() -> None:
    with instance(sink("tap"), prefix=container(with_also("tap", USER))) as it:
        assert "0" not in uids_of_workers(it)
    with instance(sink("tap"), prefix=container(with_also("tap", SHUT_IN))) as it:
        assert "not permitted here" not in it.log
    with instance(sink("tap"), prefix=container(TABLE["driver `tap`"])) as it:
        assert uids_of_workers(it) == {"0"}
        assert "no other one can be used here (without CAP_KILL, CAP_SETGID, CAP_SETUID)" in it.log
        assert "workers run without what is not permitted here: an empty file system of its own" in it.log

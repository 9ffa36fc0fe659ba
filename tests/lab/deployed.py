# SPDX-License-Identifier: Apache-2.0
"""A lab of two devices under test and a monitor, which begin bare, and the playbooks that are run on it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.lab.hosts import Lab, lab_hosts
from tests.lab.package import make_bare

GROUPS: dict[str, list[str]] = {"tester": [], "dut": ["dut1", "dut2"], "monitor": ["mon1"]}
UNIT = "ttfwd@lab.service"
INSTANCE: dict[str, Any] = {
    "queues": 1,
    "mode": "xconnect",
    "port": [
        {"name": "lab0", "driver": "tap", "netns": "left", "address": ["10.77.0.1/24"], "peer": "lab1"},
        {"name": "lab1", "driver": "tap", "netns": "right", "address": ["10.77.0.2/24"]},
    ],
}
# What nothing may be left of.
LEFT = (
    "/etc/*ttfwd* /etc/systemd/system/*ttfwd* /usr/bin/ttfwd /usr/local/sbin/ttfwd* /var/lib/ttfwd*"
    " /run/ttfwd* /run/netns/left /lib/systemd/system/ttfwd*"
)
# Of the settings that a host can have, those of its network namespace are its own here.
SYSCTL = "net.core.somaxconn"
SHARED = {"ttfwd_instances": {"lab": INSTANCE}, "host_tuning_sysctl": {SYSCTL: 1234}}


@contextmanager
def bare_lab() -> Iterator[Lab]:
    with lab_hosts("dut1", "dut2", "mon1") as lab:
        for name in ("dut1", "dut2", "mon1"):
            make_bare(lab.host(name))
        yield lab


def play(lab: Lab, name: str, code: int, *options: str, **shared: object) -> str:
    inventory = lab.inventory(GROUPS, **{**SHARED, **shared})
    return lab.play(f"ttfwd.lab.{name}", inventory, *options).ended(code)


def version(lab: Lab, host: str) -> str:
    return lab.host(host).run("dpkg-query", "--show", "--showformat=${Version}", "ttfwd")


def pings(lab: Lab, host: str) -> None:
    lab.host(host).run("ip", "netns", "exec", "left", "ping", "-c", "3", "-w", "60", "10.77.0.2")


def changed(output: str) -> dict[str, int]:
    """By host, what the recap of a playbook says."""
    return {name: int(count) for name, count in re.findall(r"^(\S+) +: ok=.* changed=(\d+)", output, re.M)}


def last_task(output: str) -> str:
    """The name of a playbook's last task, and all that follows."""
    return output.rpartition("\nTASK [")[2]


def left(lab: Lab, host: str) -> str:
    """What is still there of a lab."""
    return lab.host(host).run("sh", "-c", f"ls -d {LEFT} 2>/dev/null", code=None)

# SPDX-License-Identifier: Apache-2.0
"""Module ttfwd_port on a running instance: it connects and deletes once, and says what differs."""

from __future__ import annotations

import json
from typing import Any

from tests.lab.deployed import changed
from tests.lab.hosts import Lab, lab_hosts

INSTANCE = """
name = "lab"
queues = 1
mode = "bridge"
[[port]]
name = "first0"
driver = "tap"
[[port]]
name = "first1"
driver = "tap"
"""


def played(lab: Lab, *options: str, code: int = 0, **keys: Any) -> tuple[int, str]:
    """Play one task with these keys: how much changed, and what was said."""
    inventory = lab.inventory({"dut": ["dut1"]})
    book = lab.directory / "port.yml"
    task = {"ttfwd.lab.ttfwd_port": {"instance": "lab", "name": "third", **keys}}
    book.write_text(json.dumps([{"hosts": "dut", "gather_facts": False, "tasks": [task]}]))
    said = lab.play(str(book), inventory, *options).ended(code)
    return changed(said)["dut1"], said


def ports(lab: Lab) -> dict[str, dict[str, Any]]:
    return {port["name"]: port for port in lab.host("dut1").stats("lab")["ports"]}


def test_a_port_comes_once_and_goes_once() -> None:
    with lab_hosts("dut1") as lab:
        host = lab.host("dut1")
        host.run("sh", "-c", f"echo '{INSTANCE}' >/etc/ttfwd/lab.toml")
        host.systemctl("start", "ttfwd@lab")

        asked: dict[str, Any] = {"driver": "tap", "mtu": 1400, "address": ["10.9.0.1/24"]}
        count, said = played(lab, "--check", "--diff", **asked)
        assert (count, "third" in ports(lab)) == (1, False)
        assert '"mtu": 1400' in said

        assert played(lab, **asked)[0] == 1
        assert ports(lab)["third"]["mtu_bytes"] == 1400
        assert "10.9.0.1/24" in host.run("ip", "address", "show", "dev", "third")
        assert played(lab, **asked)[0] == 0

        _, said = played(lab, code=2, mtu=1500, address=["10.9.0.2/24"])
        assert (
            "port third is there, and differs: mtu is 1400, not 1500; it has no address 10.9.0.2/24" in said
        )
        assert played(lab, mtu=1500, recreate=True)[0] == 1
        assert ports(lab)["third"]["mtu_bytes"] == 1500

        assert played(lab, state="absent")[0] == 1
        assert sorted(ports(lab)) == ["first0", "first1"]
        assert played(lab, state="absent")[0] == 0

        _, said = played(lab, code=2, netns="no/such")
        assert "connect: netns" in said
        host.systemctl("stop", "ttfwd@lab")
        _, said = played(lab, code=2)
        assert "no instance named" in said or "not running" in said

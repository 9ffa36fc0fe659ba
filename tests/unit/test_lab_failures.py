# SPDX-License-Identifier: Apache-2.0
"""What a playbook says of the hosts that it failed on."""

from __future__ import annotations

from deploy.ansible.plugins.filter.hosts import failures, reason


def test_the_reason_of_a_task_is_its_message_and_what_its_command_printed() -> None:
    assert reason({"failed": True, "msg": "no space left"}) == "no space left"
    printed = {"failed": True, "msg": "failed to validate", "stdout": "", "stderr": "mode: no such mode\n"}
    assert reason(printed) == "failed to validate: mode: no such mode"
    assert reason({"failed": True}) == "failed"


def test_the_reason_of_a_loop_is_that_of_its_items_that_failed() -> None:
    items = [
        {"msg": "fine"},
        {"failed": True, "msg": "lab: bad mode"},
        {"failed": True, "msg": "idle: bad port"},
    ]
    assert (
        reason({"failed": True, "msg": "All items completed", "results": items})
        == "lab: bad mode; idle: bad port"
    )


def test_hosts_that_failed_are_listed_in_the_order_of_the_inventory() -> None:
    hostvars = {
        "dut2": {"lab_failure": "full", "lab_doing": "the role ttfwd"},
        "dut1": {"lab_doing": ""},
        "mon1": {"lab_doing": "the role monitoring"},
        "tg1": {},
    }
    assert failures({"all": ["dut1", "dut2", "mon1", "tg1"]}, hostvars) == [
        "dut2: full",
        "mon1: the connection broke during the role monitoring; UNREACHABLE above says why",
    ]

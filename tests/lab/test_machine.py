# SPDX-License-Identifier: Apache-2.0
"""What only a boot shows: isolated CPUs, and a profile of tuned beside the settings of the inventory."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.lab.deployed import changed, last_task
from tests.lab.machine import NAME, Machine, lab_machine
from tests.support.wait import wait_until

ROLE = {"ansible.builtin.include_role": {"name": "ttfwd.lab.host_tuning"}}
PROFILE = "network-latency"
# The profile sets it to 3, the inventory to another value.
BOTH_SET = "vm.dirty_background_ratio"
TUNING = {
    "host_tuning_isolated_cpus": [1],
    "host_tuning_sysctl": {BOTH_SET: 7},
    "host_tuning_tuned_profile": PROFILE,
    "host_tuning_reboot": True,
}
# What the role may change, and must leave as it was.
STATE = (
    "cat /boot/grub/grub.cfg /etc/default/grub; apt-mark showmanual; "
    "ls -d /etc/default/grub.d/* /etc/*tuned* /var/log/tuned /etc/ttfwd* /etc/systemd/system/*; "
    f"sysctl {BOTH_SET}; cat /sys/devices/system/cpu/isolated"
)


def tune(machine: Machine, code: int, **values: Any) -> str:
    playbook = machine.directory / "tune.yml"
    playbook.write_text(json.dumps([{"hosts": "dut", "gather_facts": False, "tasks": [ROLE]}]))
    return machine.play(str(playbook), **values).ended(code)


def isolated(machine: Machine) -> str:
    return machine.run("cat /sys/devices/system/cpu/isolated").strip()


@pytest.mark.timeout(5400)
def test_a_boot_isolates_cpus_and_tuned_has_its_profile(tmp_path: Path) -> None:
    with lab_machine(tmp_path) as machine:
        machine.run("update-grub")
        before = machine.run(STATE, code=None)

        machine.run("echo exit 3 >/etc/default/grub.d/zz-broken.cfg")
        failed = last_task(tune(machine, 2, **TUNING))
        assert "Write GRUB's menu" in failed
        assert "non-zero return code" in failed
        machine.run("rm /etc/default/grub.d/zz-broken.cfg")

        said = tune(machine, 2, **{**TUNING, "host_tuning_tuned_profile": "network-latancy"})
        assert "this host has no profile network-latancy;" in said
        assert re.search(r"there are .*latency-performance, .*network-latency", said), said

        tune(machine, 0, **TUNING)
        assert isolated(machine) == "1"
        assert machine.run("tuned-adm active").strip() == f"Current active profile: {PROFILE}"
        # After the boot, too, the inventory's value came last.
        assert machine.run(f"sysctl -n {BOTH_SET}") == "7\n"
        assert machine.run("sysctl -n vm.swappiness") == "10\n", "the profile's"
        assert changed(tune(machine, 0, **TUNING)) == {NAME: 0}
        machine.run("systemctl restart tuned")
        wait_until(
            lambda: not machine.run("systemctl list-jobs --no-legend"), "all that restarts has restarted", 600
        )
        assert machine.run(f"sysctl -n {BOTH_SET}") == "7\n"

        tune(machine, 0, host_tuning_state="absent")
        machine.reboot()
        assert machine.run(STATE, code=None) == before

# SPDX-License-Identifier: Apache-2.0
"""The packages that users get, and the module by DKMS: built, loaded, used, there after a boot, and gone."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.lab.deployed import INSTANCE, changed
from tests.lab.machine import NAME, Machine, lab_machine
from tests.support.capabilities import missing
from tests.support.wait import wait_until

OVER_TURBOTAP = {**INSTANCE, "port": [{**port, "driver": "turbotap"} for port in INSTANCE["port"]]}
LEFT = (
    "dpkg-query --list | grep -o 'ttfwd[a-z-]*'; getent group turbotap; grep turbotap /proc/modules; "
    "ls -d /etc/ttfwd* /run/ttfwd* /var/lib/ttfwd* /opt/ttfwd* /usr/src/turbotap* /var/lib/dkms/turbotap* "
    "/lib/modules/*/updates/dkms/* 2>/dev/null"
)


def packages() -> list[str]:
    folder = os.environ.get("TTFWD_PACKAGES")
    if folder is None:
        missing("the packages that `make packages` makes")
    found = sorted(str(path) for path in Path(folder).glob("ttfwd*.deb"))
    assert len(found) == 2, found
    return found


def forwards(machine: Machine) -> None:
    """The instance runs over the module, and packets cross it."""
    wait_until(lambda: "running" in machine.run("ttfwd list", code=None), "the instance runs", 600)
    ports = json.loads(machine.run("ttfwd stats --json"))["ports"]
    assert [(port["driver"], port["io"]) for port in ports] == [("turbotap", "zerocopy")] * 2
    machine.run("ip netns exec left ping -c 3 -w 60 10.77.0.2")


@pytest.mark.timeout(5400)
def test_the_module_by_dkms(tmp_path: Path) -> None:
    values = {
        "ttfwd_packages": packages(),
        "ttfwd_module": True,
        "ttfwd_instances": {"lab": OVER_TURBOTAP},
    }
    with lab_machine(tmp_path) as machine:
        said = machine.play("ttfwd.lab.site", **values).ended(0)
        assert "another turbotap.ko is loaded" not in said
        forwards(machine)
        assert changed(machine.play("ttfwd.lab.site", **values).ended(0))[NAME] == 0

        # As after an upgrade: the installed module isn't the loaded one any more.
        file = machine.run("modinfo --filename turbotap").strip()
        machine.run(f"sed -i s/srcversion=./srcversion=X/ {file}")
        said = machine.play("ttfwd.lab.site", **values).ended(0)
        assert f"{NAME}: another turbotap.ko is loaded than the installed one" in said

        machine.reboot()
        forwards(machine)

        machine.play("ttfwd.lab.teardown", **values).ended(0)
        assert machine.run(LEFT, code=None) == ""

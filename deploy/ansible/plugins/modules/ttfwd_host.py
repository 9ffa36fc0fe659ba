#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""What the lab must know of a host."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: ttfwd_host
short_description: Gather what the lab must know of a host
version_added: 0.1.0
author: ttfwd
description:
  - Returns the fact C(lab_host). Changes nothing, and needs no ttfwd on the host.
options:
  fingerprint:
    description: Ask C(ttfwd doctor), too. That takes some seconds.
    type: bool
    default: false
  executable:
    description: The command C(ttfwd).
    type: path
    default: /usr/bin/ttfwd
"""

EXAMPLES = r"""
- name: Look at the host
  ttfwd.lab.ttfwd_host:
"""

RETURN = r"""
ansible_facts:
  description: >-
    C(lab_host): interfaces with their MTUs, CPUs that are online, the kernel, the version of ttfwd, and with
    O(fingerprint) the fingerprint and the findings of C(ttfwd doctor).
  returned: always
  type: dict
"""

import json
import os
import platform
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.cpus import numbers

_NET = "/sys/class/net"
_MATTERS = ("block", "warn", "advise")  # of the levels of findings


def _interfaces() -> dict[str, dict[str, int]]:
    found = {}
    for name in sorted(os.listdir(_NET)):
        try:
            with open(f"{_NET}/{name}/mtu", encoding="ascii") as file:
                found[name] = {"mtu": int(file.read())}
        except OSError:
            continue  # gone meanwhile, or a file beside the interfaces
    return found


def _online() -> list[int]:
    with open("/sys/devices/system/cpu/online", encoding="ascii") as file:
        return numbers(file.read())


def _ask(module: AnsibleModule, *command: str, good: tuple[int, ...] = (0,)) -> dict[str, Any]:
    code, out, errors = module.run_command([module.params["executable"], *command])
    if code not in good:
        module.fail_json(msg=f"ttfwd {' '.join(command)}: {errors.strip() or out.strip()}", rc=code)
    found: dict[str, Any] = json.loads(out)
    return found


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "fingerprint": {"type": "bool", "default": False},
            "executable": {"type": "path", "default": "/usr/bin/ttfwd"},
        },
        supports_check_mode=True,
    )
    host: dict[str, Any] = {
        "interfaces": _interfaces(),
        "cpus": _online(),
        "kernel": platform.release(),
        "version": None,
        "fingerprint": None,
        "findings": [],
    }
    if os.path.exists(module.params["executable"]):
        host["version"] = _ask(module, "version", "--json")
        if module.params["fingerprint"]:
            checkup = _ask(module, "doctor", "--json", good=(0, 4))
            host["fingerprint"] = checkup["fingerprint"]
            host["findings"] = [
                {name: one[name] for name in ("name", "level", "what", "value")}
                for one in checkup["findings"]
                if one["level"] in _MATTERS
            ]
    module.exit_json(changed=False, ansible_facts={"lab_host": host})


if __name__ == "__main__":
    main()

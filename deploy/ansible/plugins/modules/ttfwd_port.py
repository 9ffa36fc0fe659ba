#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""A port of a running instance: connected, or deleted."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: ttfwd_port
short_description: Connect a port to a running instance of ttfwd, or delete it
version_added: 0.1.0
author: ttfwd
description:
  - Does what C(ttfwd connect) and C(ttfwd delete) do, once.
  - The configuration file stays as it is, so the port is gone when the instance is started again.
attributes:
  check_mode:
    support: full
    description: Says what would change.
  diff_mode:
    support: full
    description: Shows the port before and after.
options:
  name:
    description: The port, which is the name of its interface.
    type: str
    required: true
  instance:
    description: The instance. Without it, the only one that runs.
    type: str
  state:
    description: Whether the port is there.
    type: str
    choices: [present, absent]
    default: present
  driver:
    description: How bursts cross the kernel's boundary.
    type: str
    choices: [auto, turbotap, uring, tap, packet]
  io:
    description: The driver's way, where it has several.
    type: str
    choices: [zerocopy, burst, mmsg]
  netns:
    description: Network namespace of the interface.
    type: str
  address:
    description: Addresses with prefix length. A port that is there must have these; it may have others.
    type: list
    elements: str
    default: []
  mtu:
    description: Bytes.
    type: int
  mac:
    description: MAC address of the interface.
    type: str
  peer:
    description: In mode C(xconnect), the port at the other end.
    type: str
  recreate:
    description: >-
      Delete a port that differs from what is asked for, and connect it anew. It forwards nothing meanwhile.
      Without this the module fails, and names the differences.
    type: bool
    default: false
  executable:
    description: The command C(ttfwd).
    type: path
    default: /usr/bin/ttfwd
"""

EXAMPLES = r"""
- name: Connect a third port
  ttfwd.lab.ttfwd_port:
    instance: lab
    name: turbotap2
    driver: uring
    netns: right

- name: Delete it
  ttfwd.lab.ttfwd_port:
    instance: lab
    name: turbotap2
    state: absent
"""

RETURN = r"""
port:
  description: What C(ttfwd connect) says of a new port.
  returned: when a port was connected
  type: dict
"""

import json
from typing import Any

from ansible.module_utils.basic import AnsibleModule

_WANTED = ("driver", "io", "netns", "mtu", "mac", "peer")
_IN_STATS = {"mtu": "mtu_bytes"}  # named otherwise there


class Ports:
    """The ports of the instance, by its commands."""

    def __init__(self, module: AnsibleModule) -> None:
        self._module = module
        given = module.params
        self._of = ("--name", given["instance"]) if given["instance"] else ()
        self._name = given["name"]

    def now(self) -> dict[str, Any] | None:
        """The port as it is, None if it isn't there."""
        ports = self._ask("stats", "--json", *self._of)["ports"]
        return next((port for port in ports if port["name"] == self._name), None)

    def addresses(self, port: dict[str, Any]) -> set[str]:
        where = ("-n", port["netns"]) if port["netns"] else ()
        _, out, _ = self._module.run_command(
            ["ip", *where, "-json", "address", "show", "dev", port["device_name"]], check_rc=True
        )
        return {f"{one['local']}/{one['prefixlen']}" for link in json.loads(out) for one in link["addr_info"]}

    def connect(self, wanted: dict[str, Any], addresses: list[str]) -> dict[str, Any]:
        options = [word for key, value in wanted.items() for word in (f"--{key}", str(value))]
        options += [word for address in addresses for word in ("--address", address)]
        return self._ask("connect", "--json", *self._of, *options, "--", self._name)

    def delete(self) -> None:
        self._ask("delete", "--json", *self._of, "--", self._name)

    def _ask(self, *command: str) -> dict[str, Any]:
        code, out, errors = self._module.run_command([self._module.params["executable"], *command])
        if code:
            self._module.fail_json(msg=errors.strip() or f"ttfwd {command[0]} ended with {code}", rc=code)
        answer: dict[str, Any] = json.loads(out)
        return answer


def differences(wanted: dict[str, Any], port: dict[str, Any]) -> list[str]:
    """What of a port isn't as asked. Driver `auto` is any."""
    found = []
    for key, value in wanted.items():
        has = port[_IN_STATS.get(key, key)]
        if value != has and (key, value) != ("driver", "auto"):
            found.append(f"{key} is {has}, not {value}")
    return found


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "instance": {"type": "str"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "driver": {"type": "str", "choices": ["auto", "turbotap", "uring", "tap", "packet"]},
            "io": {"type": "str", "choices": ["zerocopy", "burst", "mmsg"]},
            "netns": {"type": "str"},
            "address": {"type": "list", "elements": "str", "default": []},
            "mtu": {"type": "int"},
            "mac": {"type": "str"},
            "peer": {"type": "str"},
            "recreate": {"type": "bool", "default": False},
            "executable": {"type": "path", "default": "/usr/bin/ttfwd"},
        },
        supports_check_mode=True,
    )
    given = module.params
    wanted = {key: given[key] for key in _WANTED if given[key] is not None}
    if "mac" in wanted:
        wanted["mac"] = wanted["mac"].lower()
    ports = Ports(module)
    before = ports.now()
    present = given["state"] == "present"
    wrong = []
    if before is not None and present:
        wrong = differences(wanted, before)
        missing = set(given["address"]) - ports.addresses(before) if given["address"] else set()
        wrong += [f"it has no address {address}" for address in sorted(missing)]
        if wrong and not given["recreate"]:
            module.fail_json(msg=f"port {given['name']} is there, and differs: {'; '.join(wrong)}")
    changed = bool(wrong) or (before is None) == present
    shown = before and {key: before[_IN_STATS.get(key, key)] for key in _WANTED}
    result: dict[str, Any] = {
        "changed": changed,
        "diff": {
            "before": {"port": shown},
            "after": {"port": {**(shown or {}), **wanted} if present else None},
        },
    }
    if changed and not module.check_mode:
        if before is not None:
            ports.delete()
        if present:
            result["port"] = ports.connect(wanted, given["address"])
    module.exit_json(**result)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""A test of ttfwd bench, run on a tester."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: ttfwd_bench
short_description: Run a test of ttfwd bench between two devices, and return its result
version_added: 0.1.0
author: ttfwd
description:
  - Runs C(ttfwd bench TEST --external A B), and returns what it found.
  - The whole result stays on the host, in O(out).
  - A result that isn't publishable is a result. It has RV(publishable=false), and the reasons.
  - A search takes minutes. Give the task C(async) and C(poll), so that no connection must last so long.
attributes:
  check_mode:
    support: full
    description: Measures nothing.
options:
  test:
    description: The test.
    type: str
    choices: [mrr, ndrpdr, latency, loss, burst, soak]
    default: ndrpdr
  external:
    description: The devices of the tester, each C(DEVICE) or C(NETNS/DEVICE). Frames go in at the first.
    type: list
    elements: str
    required: true
  sizes:
    description: Bytes of a frame without FCS, or a mix such as V(60x7,566x4,1514x1).
    type: str
    default: "60"
  flows:
    description: How many flows.
    type: int
    default: 1
  profile:
    description: Further keys of a profile, as in its TOML file.
    type: dict
    default: {}
  tester_cpus:
    description: CPUs of the generator. Without any, ttfwd chooses.
    type: list
    elements: int
    default: []
  allow_noise:
    description: Disturbed trials count, and the result says so.
    type: bool
    default: false
  out:
    description: Directory of the result. It must not be there yet.
    type: path
    required: true
  executable:
    description: The command C(ttfwd).
    type: path
    default: /usr/bin/ttfwd
"""

EXAMPLES = r"""
- name: Measure
  ttfwd.lab.ttfwd_bench:
    test: mrr
    external: [eth1, eth2]
    sizes: "1514"
    profile: {mrr: {trials: 5}}
    out: /var/tmp/result
  async: 3600
  poll: 5
"""

RETURN = r"""
publishable:
  description: Whether the result is fit to be published. Exit code 4 of ttfwd says no.
  returned: when measured
  type: bool
why_not:
  description: The reasons against it.
  returned: when measured
  type: list
  elements: str
complete:
  description: Whether the test came to its end.
  returned: when measured
  type: bool
figures:
  description: Frames a second by goal, or of C(mrr).
  returned: when measured
  type: dict
  sample: {"ndr": 571000.0, "pdr": 583000.0}
run_id:
  description: Names the result.
  returned: when measured
  type: str
"""

import json
import os
import tempfile
from collections.abc import Mapping
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.profile import toml

NOT_PUBLISHABLE = 4
MEANINGS = {1: "failed", 2: "refused", 3: "no such instance", 77: "not permitted"}


def figures(result: Mapping[str, Any]) -> dict[str, float | None]:
    found = {goal["name"]: goal["mean_per_s"] for goal in result["goals"]}
    return found | ({"mrr": result["mrr"]["mean_per_s"]} if result["mrr"] else {})


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "test": {
                "type": "str",
                "choices": ["mrr", "ndrpdr", "latency", "loss", "burst", "soak"],
                "default": "ndrpdr",
            },
            "external": {"type": "list", "elements": "str", "required": True},
            "sizes": {"type": "str", "default": "60"},
            "flows": {"type": "int", "default": 1},
            "profile": {"type": "dict", "default": {}},
            "tester_cpus": {"type": "list", "elements": "int", "default": []},
            "allow_noise": {"type": "bool", "default": False},
            "out": {"type": "path", "required": True},
            "executable": {"type": "path", "default": "/usr/bin/ttfwd"},
        },
        supports_check_mode=True,
    )
    given = module.params
    if len(given["external"]) != 2:
        module.fail_json(msg="external: two devices, one to send by and one to receive by")
    if os.path.exists(given["out"]):
        module.fail_json(msg=f"{given['out']}: is there already")
    if module.check_mode:
        module.exit_json(changed=True)
    with tempfile.NamedTemporaryFile("w", suffix=".toml", encoding="utf-8") as profile:
        profile.write(toml(given["profile"]))
        profile.flush()
        code, _, errors = module.run_command(_command(given, profile.name), cwd="/")
    if code not in (0, NOT_PUBLISHABLE):
        says = errors.strip().splitlines()[-1:] or ["it says nothing"]
        module.fail_json(msg=f"{MEANINGS.get(code, f'ended with {code}')}: {says[0]}", rc=code, stderr=errors)
    with open(os.path.join(given["out"], "result.json"), encoding="utf-8") as file:
        result = json.load(file)
    found = {key: result[key] for key in ("publishable", "why_not", "complete", "run_id")}
    module.exit_json(changed=True, figures=figures(result), **found)


def _command(given: Mapping[str, Any], profile: str) -> list[str]:
    command = [given["executable"], "bench", given["test"], "--external", *given["external"]]
    command += ["--sizes", given["sizes"], "--flows", str(given["flows"]), "--profile", profile]
    if given["tester_cpus"]:
        command += ["--tester-cpus", ",".join(map(str, given["tester_cpus"]))]
    if given["allow_noise"]:
        command.append("--allow-noise")
    return [*command, "--out", given["out"]]


if __name__ == "__main__":
    main()

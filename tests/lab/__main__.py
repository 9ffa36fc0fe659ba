# SPDX-License-Identifier: Apache-2.0
"""`make lab`: three hosts on this machine, from bare to a report. `python -m tests.lab [FOLDER]`

A tester and a device under test with two cables, and a monitor. The results stay in FOLDER (build/lab). All
hosts share this machine's CPUs, so the figures are for looking at, not for comparing.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from tests.lab.hosts import Lab, lab_hosts
from tests.lab.package import make_bare, package
from tests.support.instance import TTFWD

INTRODUCTION = """\
Three hosts boot on this machine: tg1 (a tester), dut1 (a device under test) and mon1 (a monitor). Two cables
join tg1 and dut1. Then Ansible plays ttfwd.lab.site, which makes a lab of the bare hosts, and
ttfwd.lab.bench, which measures four cells: drivers packet and tap, each with frames of 60 and of 1514 bytes.
It takes some 8 minutes. What Ansible skips isn't shown. docs/lab.md explains all of it.
"""
GROUPS = {"tester": ["tg1"], "dut": ["dut1"], "monitor": ["mon1"]}
PORTS = ("eth1", "eth2")
MATRIX = {
    "test": "mrr",
    "drivers": ["packet", "tap"],
    "sizes": [60, 1514],
    "allow_noise": True,
    "profile": {"repeat": 1, "mrr": {"trials": 3, "trial_s": 0.5}, "selftest": {"trial_s": 0.5}},
}


def main(results: Path) -> int:
    print(INTRODUCTION, flush=True)
    os.environ.update(ANSIBLE_DISPLAY_SKIPPED_HOSTS="false", ANSIBLE_CALLBACK_RESULT_FORMAT="yaml")
    with lab_hosts("tg1", "dut1", "mon1") as lab:
        for name in ("tg1", "dut1", "mon1"):
            make_bare(lab.host(name))
        for port in PORTS:
            lab.cable("tg1", port, "dut1", port)
        inventory = lab.inventory(
            GROUPS,
            ttfwd_packages=[str(package(lab.directory, "1.0-1"))],
            lab_links=[{"a": f"tg1/{port}", "b": f"dut1/{port}"} for port in PORTS],
            lab_matrix=MATRIX,
            lab_results=str(results),
        )
        return max(play(lab, name, inventory) for name in ("site", "bench"))


def play(lab: Lab, name: str, inventory: Path) -> int:
    print(f"ansible-playbook -i {inventory} ttfwd.lab.{name}", flush=True)
    begun = time.monotonic()
    playing = lab.start_play(f"ttfwd.lab.{name}", inventory)
    assert playing.stdout is not None
    for line in playing.stdout:
        print(line, end="", flush=True)
    code = playing.wait()
    print(f"{name}: exit status {code} after {time.monotonic() - begun:.0f} s\n")
    return code


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "build/lab").resolve()
    code = main(folder)
    print(f"The report, for a browser: {folder / 'report.html'}")
    print(f"The same as text: {TTFWD} report --lab {folder}")
    sys.exit(code)

# SPDX-License-Identifier: Apache-2.0
"""What a lab of hundreds of hosts costs its control host, by simulation: `python -m tests.lab.scale`.

Half of the hosts are testers, each with a device under test of its own. They are made up. What the control
host does for them is real: the inventory, its check, the plan, the report, and a task on many hosts. There
each host is a process of this machine (connection `local`). The task's time is therefore an upper bound.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import psutil

from deploy.ansible.plugins.filter.lab import plan, problems
from deploy.ansible.plugins.module_utils.matrix import slots
from tests.lab.collection import ansible_environment
from tests.support.lab import MATRIX, links, matrix_of, names, store

INTERFACES = {"lo": {"mtu": 65536}, "eth1": {"mtu": 1500}, "eth2": {"mtu": 1500}}
SEEN = {
    "interfaces": INTERFACES,
    "cpus": [0, 1, 2, 3],
    "version": {"ttfwd": "0.1.0"},
    "fingerprint": "sha256:0",
    "kernel": "6.1",
}
CELL_S = 600.0  # of a throughput search with three starts, on hardware


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hosts", type=int, default=500)
    parser.add_argument("--runs", type=int, default=5, help="results of each cell")
    parser.add_argument("--forks", type=int, nargs="+", default=[10, 50])
    parser.add_argument(
        "--play-hosts",
        type=int,
        nargs="+",
        default=[50, 100],
        help="hosts of the plays, of which each is a process",
    )
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ttfwd-scale-") as directory:
        plays = list(product((hosts // 2 for hosts in given.play_hosts), given.forks))
        measure(Path(directory), given.hosts // 2, given.runs, plays)


def measure(directory: Path, pairs: int, runs: int, plays: Sequence[tuple[int, int]]) -> None:
    """`plays`: pairs of hosts, and forks, of each play."""
    print(f"{2 * pairs} hosts: {pairs} testers, {pairs} devices under test; matrix {json.dumps(MATRIX)}")
    inventory = write_inventory(directory, pairs)
    environment = ansible_environment(directory)
    with timing("ansible-inventory --list --export"):
        command = ["ansible-inventory", "-i", str(inventory), "--list", "--export"]
        subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
    groups, hostvars = variables(pairs, directory / "results")
    with timing("check of the inventory"):
        assert problems(groups, hostvars) == []
    with timing("plan of the matrix, without results"):
        found = plan(groups, hostvars, [])
    show("cells", f"{len(found['measure']):,} in {len(slots(found['measure']))} slots")
    for play_pairs, forks in plays:
        play(directory, play_pairs, forks)
    report(directory, pairs, runs)
    cells, in_slots = len(found["measure"]), len(found["slots"])
    show(
        "a full matrix, on paper",
        f"{in_slots * CELL_S / 3600:.1f} h at {CELL_S:.0f} s a cell, all testers at once",
    )
    show("the same by one tester", f"{cells * CELL_S / 86400:.1f} days")


def write_inventory(directory: Path, pairs: int) -> Path:
    """In JSON, which is YAML."""
    path = directory / f"hosts-{pairs}.json"
    children = {
        group: {"hosts": {name: {"lab_cpus": {use: [1, 2]}} for name in names(pairs, kind)}}
        for group, kind, use in (("tester", "tg", "tester"), ("dut", "dut", "workers"))
    }
    shared = {
        "lab_links": links(pairs),
        "lab_matrix": MATRIX,
        "lab_results": str(directory / "results"),
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
    }
    path.write_text(json.dumps({"all": {"vars": shared, "children": children}}))
    return path


def variables(pairs: int, results: Path) -> tuple[dict[str, list[str]], dict[str, dict[str, Any]]]:
    """What Ansible hands the filters once the hosts were asked."""
    testers, duts = names(pairs, "tg"), names(pairs, "dut")
    shared = {"lab_links": links(pairs), "lab_matrix": MATRIX, "lab_results": str(results), "lab_host": SEEN}
    groups = {"all": [*testers, *duts], "tester": testers, "dut": duts}
    return groups, dict.fromkeys(groups["all"], shared)


def play(directory: Path, pairs: int, forks: int) -> None:
    """One task over all hosts, as check.yml has it, and what a host costs the control host."""
    inventory = write_inventory(directory, pairs)
    book = directory / "look.yml"
    book.write_text(
        json.dumps([{"hosts": "all", "gather_facts": False, "tasks": [{"ttfwd.lab.ttfwd_host": None}]}])
    )
    command = ["ansible-playbook", "-i", str(inventory), "--forks", str(forks), str(book)]
    cost = run(command, ansible_environment(directory))
    hosts = 2 * pairs
    show(
        f"a task on {hosts} hosts, {forks} forks",
        f"{cost.took_s:.1f} s, {cost.took_s / hosts * 1000:.0f} ms a host; CPU {cost.cpu_s:.1f} s; "
        f"memory {cost.memory_mib:.0f} MiB, all processes together",
    )


def report(directory: Path, pairs: int, runs: int) -> None:
    """Results of every cell, and the page over them."""
    results = directory / "results"
    store(
        results,
        matrix_of(pairs),
        runs,
        lambda cell, run: 5e5 * (1 + 0.002 * ((run * 7 + len(cell["id"])) % 5)),
    )
    files = [path for path in results.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    count = sum(path.name == "result.json" for path in files)
    show("results", f"{count:,}, {size / 2**20:.0f} MiB, {size / count / 1024:.0f} KiB each (without trials)")
    page = results / "report.html"
    command = [sys.executable, "-m", "forwarder", "report", "--lab", str(results), "--format", "html"]

    cost = run(command, dict(os.environ))
    each_ms = cost.took_s / count * 1000
    show("report", f"{cost.took_s:.1f} s, {each_ms:.1f} ms a result, {cost.memory_mib:.0f} MiB of memory")
    show("its page", f"{page.stat().st_size / 2**20:.1f} MiB")


@dataclass(frozen=True)
class Cost:
    took_s: float
    cpu_s: float
    memory_mib: float  # at most, of the command and its processes; what they share counts once


def run(command: Sequence[str], environment: dict[str, str]) -> Cost:
    began = time.monotonic()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    most, ended = 0, 0
    while not ended:
        most = max(most, _memory_bytes(process.pid))
        time.sleep(0.2)
        ended, status, used = os.wait4(process.pid, os.WNOHANG)
    assert status == 0, command
    return Cost(time.monotonic() - began, used.ru_utime + used.ru_stime, most / 2**20)


def _memory_bytes(pid: int) -> int:
    """Of a process and those below it."""
    found = 0
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for one in (process, *process.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                found += one.memory_full_info().pss
    return found


@contextmanager
def timing(what: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    show(what, f"{time.monotonic() - began:.2f} s")


def show(what: str, figure: str) -> None:
    print(f"{what:<46} {figure}", flush=True)


if __name__ == "__main__":
    main()

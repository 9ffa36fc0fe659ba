# SPDX-License-Identifier: Apache-2.0
"""The script that doctor prints: it mends a copy of a laptop, and makes a profile for tuned."""

from __future__ import annotations

import configparser
import os
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from forwarder.host.checkup import Checkup, judge
from forwarder.host.facts import facts
from forwarder.host.finding import Case, Finding, Keep
from forwarder.host.script import profile, script
from forwarder.host.tree import Tree
from tests.support import host_tree
from tests.support.host_parts import quiet_look
from tests.support.host_tree import QUIET

# What the copy of a host doesn't do by itself: sysctl's files, and programs that change something.
STUBS = {
    "sysctl": 'pair=$2; echo "${pair#*=}" > "$ROOT/proc/sys/$(echo "${pair%%=*}" | tr . /)"',
    "systemctl": 'rm "$ROOT/proc/7/comm"',
    "swapoff": 'echo "SwapTotal: 0 kB" > "$ROOT/proc/meminfo"',
    "tuned-adm": 'echo "$@" > "$ROOT/tuned-adm"',
}


def checkup(tree: Tree) -> Checkup:
    return judge("latency", QUIET, facts(tree=tree), quiet_look(tree))


def run(root: Path, text: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a script in which every absolute path is below a root."""
    programs = root / "stubs"
    programs.mkdir(exist_ok=True)
    for name, line in STUBS.items():
        (programs / name).write_text(f"#!/bin/sh\n{line}\n")
        (programs / name).chmod(0o755)
    moved = re.sub(r"(?<=[ =])/(?=(?:sys|proc|etc)/)", f"{root}/", text)
    (root / "script").write_text(moved)
    environment = {"PATH": f"{programs}:{os.environ['PATH']}", "ROOT": str(root)}
    return subprocess.run(
        ["sh", root / "script", *words], env=environment, capture_output=True, text=True, timeout=60
    )


@pytest.mark.slow
def test_its_commands_mend_what_was_found(tmp_path: Path) -> None:
    tree = host_tree.tree(tmp_path, host_tree.laptop())
    before = checkup(tree)
    done = run(tmp_path, script(before), "now")
    assert done.stderr == ""
    assert done.returncode == 0
    after = {finding.name for finding in checkup(tree).of("block", "warn", "advise")}
    assert after == {
        *("isolated", "ticks", "rcu_callbacks"),  # only at boot
        "heat",  # has happened
        "irq_affinity",  # the kernel answers in another file, once an interrupt has arrived
    }
    assert tree.text("/proc/irq/36/smp_affinity_list") == "0-1"
    assert after < {finding.name for finding in before.of("block", "warn", "advise")}


@pytest.mark.slow
def test_a_command_that_fails_is_told_and_the_others_run(tmp_path: Path) -> None:
    tree = host_tree.tree(tmp_path, host_tree.laptop())
    text = script(checkup(tree))
    (tmp_path / "sys/kernel/mm/ksm/run").unlink()
    (tmp_path / "sys/kernel/mm/ksm").rmdir()
    done = run(tmp_path, text, "now")
    assert done.returncode == 1
    assert "commands that failed: 1" in done.stderr
    assert tree.text(f"{host_tree.CPU}/cpu2/cpufreq/scaling_governor") == "performance"


@pytest.mark.parametrize("words", [(), ("everything",)])
def test_without_an_order_it_does_nothing(tmp_path: Path, words: tuple[str, ...]) -> None:
    tree = host_tree.tree(tmp_path, host_tree.laptop())
    done = run(tmp_path, script(checkup(tree)), *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert "now | tuned" in done.stderr
    assert tree.text(f"{host_tree.CPU}/cpu2/cpufreq/scaling_governor") == "powersave"


def test_the_profile_for_tuned(tmp_path: Path) -> None:
    tree = host_tree.tree(tmp_path, host_tree.laptop())
    text = script(checkup(tree))
    missing = run(tmp_path, text, "tuned")
    assert missing.returncode == 1
    assert "apt-get install tuned" in missing.stderr
    variables = tmp_path / "etc/tuned/cpu-partitioning-variables.conf"
    variables.parent.mkdir(parents=True)
    variables.write_text("# isolated_cores=2,4-7\n")
    done = run(tmp_path, text, "tuned")
    assert (done.returncode, done.stderr) == (0, "")
    assert variables.read_text() == "isolated_cores=2-3\n"
    assert variables.with_name(variables.name + ".before-ttfwd").read_text() == "# isolated_cores=2,4-7\n"
    assert (tmp_path / "tuned-adm").read_text() == "profile ttfwd-lab\n"
    made = configparser.ConfigParser(delimiters=("=",), interpolation=None)
    made.read(tmp_path / "etc/tuned/ttfwd-lab/tuned.conf")
    assert made["main"]["include"] == "cpu-partitioning"
    assert made["cpu"]["governor"] == "performance"
    assert made["sysctl"]["kernel.nmi_watchdog"] == "0"
    assert made["bootloader"]["cmdline_ttfwd_lab"] == "+isolcpus=managed_irq,domain,2-3"


def test_mitigations_are_never_switched_off(tmp_path: Path) -> None:
    host = host_tree.laptop() | {f"{host_tree.CPU}/vulnerabilities/meltdown": "Vulnerable\n"}
    text = script(checkup(host_tree.tree(tmp_path, host)))
    commands = "\n".join(line for line in text.splitlines() if not line.strip().startswith("#"))
    for word in ("mitigations", "nopti", "nospectre", "spectre", "mds=", "retbleed"):
        assert word not in commands


def test_a_host_with_nothing_wrong_has_nothing_to_do(tmp_path: Path) -> None:
    it = checkup(host_tree.tree(tmp_path, host_tree.tuned()))
    assert "run '" not in script(it).partition("now() {")[2].partition("}")[0]
    assert profile(it) == (
        "[main]\nsummary=latency measured with ttfwd on CPUs 2-3\ninclude=cpu-partitioning\n"
    )


def test_nothing_is_kept_away_from_the_only_cpu(tmp_path: Path) -> None:
    host = host_tree.laptop() | {f"{host_tree.CPU}/online": "0\n"}
    tree = host_tree.tree(tmp_path, host)
    text = script(judge("latency", frozenset((0,)), facts(tree=tree), quiet_look(tree)))
    done = run(tmp_path, text, "tuned")
    assert (done.returncode, done.stdout) == (1, "")
    assert "isolcpus" not in text
    assert run(tmp_path, text, "now").returncode == 0


def test_names_of_devices_are_words_to_the_shell(tmp_path: Path) -> None:
    """Who names a device isn't who runs the script."""
    tree = host_tree.tree(tmp_path, host_tree.tuned())
    evil = "$(touch$IFS" + "here);'\n"
    bad = Finding(
        "merging",
        "warn",
        f"merging by {evil}",
        evil,
        evil,
        "why",
        (f"echo {evil!r} > /dev/null",),
        (Keep("vm", "x=1"),),
    )
    it = replace(checkup(tree), findings=(bad,), case=Case("latency", QUIET, frozenset((0,))))
    done = run(tmp_path, script(it), "now")
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "here").exists()
    assert not Path("here").exists()

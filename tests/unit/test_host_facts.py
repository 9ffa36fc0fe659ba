# SPDX-License-Identifier: Apache-2.0
"""The facts of a host in a result: what they are, what their fingerprint stands for, what counters add."""

from __future__ import annotations

import json
from dataclasses import astuple, replace
from pathlib import Path

import pytest

from forwarder.host.aspect import PerCpu
from forwarder.host.compare import compare
from forwarder.host.counters import Counters, delta
from forwarder.host.facts import facts
from forwarder.host.recording import Recording
from forwarder.host.tree import Tree
from forwarder.results.model import Host
from tests.support import host_tree
from tests.support.host_tree import CPU, SECRET


def test_facts_of_a_tuned_machine(tmp_path: Path) -> None:
    tree = host_tree.tree(tmp_path, host_tree.tuned())
    found = facts(tree=tree)
    assert found.machine.model == "Xeon 6"
    assert found.machine.mitigations == {
        "meltdown": "Not affected",
        "spectre_v2": "Mitigation: Retpolines",
    }
    assert found.kernel.options == {"HZ": "1000", "PREEMPT_VOLUNTARY": "y"}
    assert found.kernel.debug_options == ()
    assert found.power.governor == {"performance": "0-3"}
    assert found.power.resume_limit_us == {"0": "0-1", "n/a": "2-3"}
    assert found.power.latency_limit_us == 2_000_000_000
    assert list(found.power.idle_states or ()) == ["state0", "state1", "state10"]
    assert found.isolation.isolated == found.isolation.nohz_full == found.isolation.rcu_nocbs == "2-3"
    assert found.isolation.quota == ""
    assert found.interrupts.effective == {"8 rtc0": "1", "36 nvme0q0": "0"}
    assert found.memory.huge_pages == "madvise"
    json.dumps(found.to_json())


def test_a_result_holds_no_words_of_the_command_line_that_are_not_ours(tmp_path: Path) -> None:
    text = json.dumps(facts(tree=host_tree.tree(tmp_path, host_tree.tuned())).to_json())
    assert SECRET not in text
    assert "isolcpus" in text


def test_what_is_unknown_is_null(tmp_path: Path) -> None:
    found = facts(tree=Tree(tmp_path))
    values = {
        f"{aspect}.{fact}": value for aspect, its in found.to_json().items() for fact, value in its.items()
    }
    known = {fact: value for fact, value in values.items() if value is not None}
    assert known == {"machine.online": "", "kernel.sysctls": {}}


def test_the_fingerprint_stays_when_only_what_varies_has_changed(tmp_path: Path) -> None:
    host = host_tree.tuned()
    before = facts(tree=host_tree.tree(tmp_path, host))
    host_tree.tree(
        tmp_path,
        {
            "/proc/9/comm": "irqbalance\n",
            "/proc/irq/36/effective_affinity_list": "3\n",
            "/proc/meminfo": "MemTotal: 65000000 kB\nMemAvailable: 3 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n",
            "/dev/cpu_dma_latency": "\0\0\0\0",
        },
    )
    after = facts(tree=Tree(tmp_path))
    assert after.memory.available_kb == 3
    assert after.interrupts.irqbalance is True
    assert after.fingerprint == before.fingerprint
    assert before.fingerprint.startswith("sha256:")


@pytest.mark.parametrize(
    "change",
    [
        {"/proc/cpuinfo": "model name : Xeon 7\n"},
        {"/proc/cmdline": "isolcpus=3\n"},
        {"/proc/sys/kernel/osrelease": "6.12.2-lab\n"},
        {"/proc/sys/net/core/netdev_max_backlog": "9\n"},
        {f"{CPU}/cpu3/cpufreq/scaling_governor": "powersave\n"},
        {f"{CPU}/vulnerabilities/meltdown": "Vulnerable\n"},
    ],
)
def test_the_fingerprint_changes_with_any_setting(tmp_path: Path, change: dict[str, str]) -> None:
    tree = host_tree.tree(tmp_path, host_tree.tuned())
    before = facts(tree=tree).fingerprint
    host_tree.tree(tmp_path, change)
    assert facts(tree=tree).fingerprint != before


def test_what_counters_counted(tmp_path: Path) -> None:
    host = host_tree.tuned()
    begin = Counters.now(host_tree.tree(tmp_path, host))
    later = {
        "/proc/stat": host_tree.stat({0: (), 1: (), 2: (30, 10, 20, 5, 5, 1, 2, 7), 3: ()}),
        "/proc/interrupts": host["/proc/interrupts"].replace("100        100", "350        100"),
        "/proc/net/softnet_stat": "00000009 00000000 00000000 " + "00000000 " * 9 + "00000000\n"
        "00000010 00000003 00000001 " + "00000000 " * 9 + "00000002\n",
        "/proc/softirqs": host["/proc/softirqs"].replace("7   8", "17   8"),
        "/proc/pressure/cpu": "some avg10=0.00 avg60=0.00 avg300=0.00 total=7400\n",
        "/proc/schedstat": "version 15\ncpu2 0 0 0 0 0 0 10 500 3\n",
        f"{CPU}/cpu2/thermal_throttle/core_throttle_count": "2\n",
    }
    end = Counters.now(host_tree.tree(tmp_path, later))
    counted = delta(begin, replace(end, at_ns=begin.at_ns + 5), frozenset((2, 3)))
    assert counted == {
        "duration_ns": 5,
        "cpu_ns": {
            "2": {
                **{"user": 400_000_000, "system": 200_000_000, "idle": 100_000_000},
                **{"irq": 10_000_000, "softirq": 20_000_000, "steal": 70_000_000},
            }
        },
        "interrupts": {"2": {"LOC": 250}},
        "softirqs": {"2": {"NET_RX": 10}},
        "softnet": {"2": {"processed": 14, "dropped": 3, "squeezed": 1}},
        "waited_ns": {},  # of a file that wasn't there at the begin, nobody knows
        "throttled": {"2": {"core": 2}},
        "pressure_us": {"cpu_some": 400},
        "context_switches": 0,
    }


def test_softnet_counters_of_kernels_that_do_not_name_the_cpu(tmp_path: Path) -> None:
    host = host_tree.tuned() | {
        f"{CPU}/online": "0,3\n",
        "/proc/net/softnet_stat": "00000001 00000000 00000000\n00000002 00000004 00000000\n",
    }
    assert Counters.now(host_tree.tree(tmp_path, host)).softnet[3]["dropped"] == 4


@pytest.mark.slow
def test_a_recording_of_this_machine_fits_the_model() -> None:
    host = Recording(cpus=(0,)).host((("lo", None), ("nosuch", None), ("lo", "nosuch")))
    assert host.facts["devices"].keys() == {"lo"}  # the others are gone
    again = Host.model_validate_json(host.model_dump_json())
    assert again.fingerprint == host.fingerprint == facts().fingerprint
    assert host.delta["duration_ns"] > 0


@pytest.mark.slow
def test_comparing_with_a_result(tmp_path: Path) -> None:
    tree = host_tree.tree(tmp_path, host_tree.tuned())
    stored = Recording((2,), tree=tree).host()
    then = Host.model_validate_json(stored.model_dump_json())
    same = compare(then, facts(tree=tree))
    assert same.same_fingerprint
    assert same.settings == ()
    host_tree.tree(
        tmp_path,
        {
            f"{CPU}/cpu3/cpufreq/scaling_governor": "powersave\n",
            "/proc/irq/36/effective_affinity_list": "3\n",
            "/sys/kernel/mm/ksm/run": "",
        },
    )
    found = compare(then, facts(tree=tree))
    assert not found.same_fingerprint
    assert [(each.fact, each.then, each.now) for each in found.settings] == [
        ("memory.merging", False, None),
        ("power.governor.performance", "0-3", "0-2"),
        ("power.governor.powersave", None, "3"),
    ]
    assert ("interrupts.effective.36 nvme0q0", "0", "3", True) in map(astuple, found.differences)


def test_a_cpu_without_a_value_is_in_no_list(tmp_path: Path) -> None:
    host = host_tree.tuned()
    del host[f"{CPU}/cpu1/cpufreq/scaling_governor"]
    governor: PerCpu | None = facts(tree=host_tree.tree(tmp_path, host)).power.governor
    assert governor == {"performance": "0,2-3"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("/proc/stat", "cpu0 a b c\ncpu\n"),
        ("/proc/interrupts", "CPU0\n 1: x\n:\n"),
        ("/proc/net/softnet_stat", "zz\n\n"),
        ("/proc/irq/default_smp_affinity", "xyz\n"),
        ("/proc/config.gz", "\0\0"),
        ("/proc/self/cgroup", "nonsense\n0::relative\n"),
        (f"{CPU}/online", "0-\n"),
        (f"{CPU}/cpu0/power/pm_qos_resume_latency_us", "often\n"),
    ],
)
def test_files_with_nonsense_are_unknown(tmp_path: Path, name: str, text: str) -> None:
    tree = host_tree.tree(tmp_path, host_tree.tuned())
    tree.path(name).write_text(text)
    facts(tree=tree)
    Counters.now(tree)

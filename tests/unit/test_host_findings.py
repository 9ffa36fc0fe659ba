# SPDX-License-Identifier: Apache-2.0
"""What doctor says of hosts: tuned, virtual, a laptop, a debug kernel, one that tells nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from forwarder.host.checkup import Checkup, judge, quiet_cpus
from forwarder.host.counters import Counters
from forwarder.host.facts import facts
from forwarder.host.finding import Finding, Purpose
from forwarder.host.look import Look
from forwarder.host.noise import Noise
from forwarder.host.tree import Tree
from forwarder.results.model import Disturbance
from tests.support import host_tree
from tests.support.host_parts import SECOND, STILL, card, quiet_look
from tests.support.host_tree import CPU, QUIET, Host


def checkup(
    root: Path, host: Host, purpose: Purpose = "latency", cpus: frozenset[int] = QUIET, **look: object
) -> Checkup:
    tree = host_tree.tree(root, host)
    return judge(purpose, cpus, facts(tree=tree), quiet_look(tree, **look))


def found(of: Checkup) -> dict[str, Finding]:
    by_name = {finding.name: finding for finding in of.findings}
    assert len(by_name) == len(of.findings)
    return by_name


@pytest.mark.parametrize("purpose", ["throughput", "latency"])
def test_a_tuned_machine_has_nothing_wrong(tmp_path: Path, purpose: Purpose) -> None:
    it = checkup(tmp_path, host_tree.tuned(), purpose)
    assert {finding.name: finding.value for finding in it.findings if finding.level != "ok"} == {}
    assert it.exit_code == 0
    assert it.to_json()["publishable"] is True


def test_what_a_host_does_not_tell_is_never_ok(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    nothing = Look(Counters.now(tree), Counters.now(tree), Disturbance(), (), None)
    it = judge("latency", QUIET, facts(tree=tree), nothing)
    assert [finding.name for finding in it.findings if finding.level != "unknown"] == []
    assert len(it.findings) > 30
    assert all(not finding.commands and not finding.keep for finding in it.findings)
    assert it.exit_code == 0


def test_a_shared_virtual_machine(tmp_path: Path) -> None:
    it = checkup(tmp_path, host_tree.shared_vm(), "throughput", frozenset((1,)))
    by_name = found(it)
    assert {name for name, finding in by_name.items() if finding.level == "unknown"} == {
        *("governor", "preference", "turbo", "ticks", "heat")
    }
    assert by_name["virtual_machine"].level == by_name["spare_cpus"].level == "warn"
    assert by_name["steal"].level == "ok"  # it tells, and nothing was stolen
    assert by_name["mitigations"].value == "vulnerable: spectre_v2"
    assert it.exit_code == 0


@pytest.mark.parametrize("told", [True, False])
def test_a_hypervisor_that_never_told_of_steal_is_not_believed(tmp_path: Path, told: bool) -> None:
    host = host_tree.shared_vm() | {"/proc/stat": host_tree.stat({0: (0,) * 7 + (int(told),), 1: ()})}
    steal = found(checkup(tmp_path, host, cpus=frozenset((1,))))["steal"]
    assert steal.level == ("ok" if told else "unknown")


def test_an_untuned_laptop(tmp_path: Path) -> None:
    by_name = found(checkup(tmp_path, host_tree.laptop(), "latency"))
    levels = {name: finding.level for name, finding in by_name.items() if finding.level != "ok"}
    assert levels == {
        **dict.fromkeys(("governor", "preference", "turbo", "idle_states", "isolated", "ticks"), "warn"),
        **dict.fromkeys(("huge_pages", "page_merging", "bpf_compiler"), "warn"),
        **dict.fromkeys(("rcu_callbacks", "workqueues", "watchdog", "irq_affinity", "irqbalance"), "advise"),
        **dict.fromkeys(("nmi_watchdog", "swap", "heat"), "advise"),
    }
    governor = by_name["governor"]
    assert governor.value == "powersave on CPUs 2-3"
    assert governor.commands == (
        f"echo performance > {CPU}/cpu2/cpufreq/scaling_governor",
        f"echo performance > {CPU}/cpu3/cpufreq/scaling_governor",
    )
    assert by_name["idle_states"].value == "C1 (2 us) on CPUs 2-3, C6 (170 us) on CPUs 2-3"
    assert by_name["irq_affinity"].commands == ("echo 0-1 > /proc/irq/36/smp_affinity_list",)
    assert by_name["workqueues"].commands == ("echo 3 > /sys/devices/virtual/workqueue/cpumask",)
    assert by_name["swap"].value == "7812 MiB"
    assert [keep.line for keep in by_name["isolated"].keep] == ["isolcpus=managed_irq,domain,2-3"]


def test_throughput_asks_for_less_than_latency(tmp_path: Path) -> None:
    by_name = found(checkup(tmp_path, host_tree.laptop(), "throughput"))
    for name in ("idle_states", "isolated", "ticks", "huge_pages"):
        assert by_name[name].level == "advise"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"/proc/config.gz": host_tree.DEBUG_CONFIG}, "KASAN, LOCKDEP, PROVE_LOCKING"),
        ({"/proc/config.gz": "", "/boot/config-6.12.1-lab": "CONFIG_KASAN=y\n"}, "KASAN"),
        ({"/proc/config.gz": "", "/proc/lockdep": ""}, "LOCKDEP"),
        ({"/proc/cmdline": "slub_debug=FZPU\n"}, "slub_debug"),
    ],
)
def test_a_debug_kernel_blocks(tmp_path: Path, change: Host, told: str) -> None:
    host = host_tree.tuned() | change
    if not host["/proc/config.gz"]:
        del host["/proc/config.gz"]
    it = checkup(tmp_path, host, "throughput")
    assert (found(it)["debug_kernel"].level, found(it)["debug_kernel"].value) == ("block", told)
    assert it.exit_code == 4
    assert it.findings[0].name == "debug_kernel"  # the worst first


@pytest.mark.parametrize(
    ("core", "level", "value", "commands"),
    [
        ("2-3", "warn", "CPUs 2-3 share a core", ()),
        ("1,3", "advise", "CPU 3 with CPU 1", (f"echo 0 > {CPU}/cpu1/online",)),
        ("0-1", "ok", "none", ()),
    ],
)
def test_shared_cores(tmp_path: Path, core: str, level: str, value: str, commands: tuple[str, ...]) -> None:
    host = host_tree.tuned()
    for cpu in {"2-3": (2, 3), "1,3": (1, 3), "0-1": (0, 1)}[core]:
        host[f"{CPU}/cpu{cpu}/topology/thread_siblings_list"] = core
    shared = found(checkup(tmp_path, host, "throughput"))["shared_cores"]
    assert (shared.level, shared.value, shared.commands) == (level, value, commands)


def test_interrupts_that_arrive_where_workers_run(tmp_path: Path) -> None:
    host = host_tree.tuned() | {"/proc/irq/36/effective_affinity_list": "3\n"}
    tree = host_tree.tree(tmp_path, host)
    before = Counters.now(tree)
    head, *rows = host["/proc/interrupts"].splitlines()
    later = Counters.now(
        host_tree.tree(
            tmp_path,
            {
                "/proc/interrupts": "\n".join(
                    (head, rows[0], rows[1].replace("0          0 ", "0        250 "), *rows[2:])
                )
            },
        )
    )
    look = quiet_look(tree, begin=before, end=replace(later, at_ns=before.at_ns + SECOND))
    by_name = found(judge("latency", QUIET, facts(tree=tree), look))
    assert by_name["interrupts"].level == "warn"
    assert by_name["interrupts"].value == "250 a second, 36 nvme0q0 250"
    assert by_name["interrupts"].commands == ("echo 0-1 > /proc/irq/36/smp_affinity_list",)
    assert by_name["irq_affinity"].value == "36 nvme0q0 on CPU 3"


def test_the_interrupts_of_a_measured_device_belong_there(tmp_path: Path) -> None:
    host = host_tree.tuned() | {"/proc/irq/36/effective_affinity_list": "3\n"}
    tree = host_tree.tree(tmp_path, host)
    with_device = replace(facts(tree=tree), devices={"eth1": card()})
    assert found_first(judge("latency", QUIET, with_device, quiet_look(tree)), "irq_affinity").level == "ok"


@pytest.mark.parametrize(
    ("purpose", "noise", "level"),
    [
        ("throughput", Noise(SECOND, 0, 0, 9_000), "ok"),
        ("throughput", Noise(SECOND, 40, 900_000, 30_000), "advise"),
        ("throughput", Noise(SECOND, 400, 9_000_000, 400_000), "warn"),
        ("latency", Noise(SECOND, 400, 9_000_000, 400_000), "block"),
        ("throughput", Noise(SECOND, 400, 19_000_000, 400_000), "block"),
    ],
)
def test_noise(tmp_path: Path, purpose: Purpose, noise: Noise, level: str) -> None:
    it = checkup(tmp_path, host_tree.tuned(), purpose, noise={2: STILL, 3: noise})
    assert found(it)["noise"].level == level
    assert it.exit_code == (4 if level == "block" else 0)


def test_noise_is_unknown_where_workers_run(tmp_path: Path) -> None:
    assert found(checkup(tmp_path, host_tree.tuned(), noise=None))["noise"].level == "unknown"


@pytest.mark.parametrize(
    ("seen", "name", "level", "value"),
    [
        (Disturbance(steal_ratio=0.0005), "steal", "ok", "0.1 %"),
        (Disturbance(steal_ratio=0.004), "steal", "warn", "0.4 %"),
        (Disturbance(steal_ratio=0.03), "steal", "block", "3.0 %"),
        (Disturbance(foreign_cpu_ratio=0.004), "neighbours", "ok", "0.4 %"),
        (Disturbance(foreign_cpu_ratio=0.03), "neighbours", "warn", "3.0 % (gcc 2.0 %, cc1 1.0 %)"),
        (Disturbance(foreign_cpu_ratio=0.5), "neighbours", "block", "50.0 % (gcc 2.0 %, cc1 1.0 %)"),
    ],
)
def test_what_others_took(tmp_path: Path, seen: Disturbance, name: str, level: str, value: str) -> None:
    neighbours = (("gcc", SECOND // 50), ("cc1", SECOND // 100))
    it = found(checkup(tmp_path, host_tree.tuned(), disturbance=seen, neighbours=neighbours))[name]
    assert (it.level, it.value) == (level, value)


def test_a_limit_of_cpu_time_blocks(tmp_path: Path) -> None:
    host = host_tree.tuned() | {"/sys/fs/cgroup/system.slice/lab.service/cpu.max": "150000 100000\n"}
    quota = found(checkup(tmp_path, host, "throughput"))["cpu_quota"]
    assert (quota.level, quota.value) == ("block", "150000 of 100000 us")


def test_a_limit_of_cpu_time_in_the_older_hierarchy(tmp_path: Path) -> None:
    host = host_tree.tuned() | {
        "/proc/self/cgroup": "3:cpu,cpuacct:/docker/1\n1:name=systemd:/x\n",
        "/sys/fs/cgroup/cpu/cgroup.procs": "",
        "/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "50000\n",  # a container sees its own group as the root
        "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
    }
    assert found(checkup(tmp_path, host))["cpu_quota"].value == "50000 of 100000 us"


@pytest.mark.parametrize(
    ("change", "name", "level"),
    [
        (
            {"/sys/devices/system/clocksource/clocksource0/current_clocksource": "hpet\n"},
            "clock_source",
            "block",
        ),
        ({"/proc/cpuinfo": "flags : tsc constant_tsc\n"}, "steady_counter", "warn"),
        ({"/proc/sys/kernel/tainted": "512\n"}, "taints", "warn"),
        ({"/proc/sys/kernel/tainted": "4096\n"}, "taints", "ok"),  # a module from elsewhere, as turbotap is
        ({"/proc/sys/kernel/io_uring_disabled": "2\n"}, "io_uring", "advise"),
        ({"/proc/sys/kernel/numa_balancing": "1\n"}, "numa_balancing", "warn"),
        ({"/sys/fs/cgroup/cpuset.cpus.isolated": "2-3\n", f"{CPU}/isolated": "\n"}, "isolated", "ok"),
        ({"/proc/cmdline": "rcu_nocbs=all\n", f"{CPU}/nohz_full": "\n"}, "rcu_callbacks", "ok"),
        (
            {
                "/sys/devices/system/node/node1/cpulist": "3\n",
                "/sys/devices/system/node/node0/cpulist": "0-2\n",
            },
            "numa_nodes",
            "warn",
        ),
        ({"/proc/net/softnet_stat": "00000100 00000007 00000000\n"}, "backlog", "advise"),
    ],
)
def test_single_facts(tmp_path: Path, change: Host, name: str, level: str) -> None:
    assert found(checkup(tmp_path, host_tree.tuned() | change, "latency"))[name].level == level


def test_heat_during_the_look_blocks(tmp_path: Path) -> None:
    tree = host_tree.tree(tmp_path, host_tree.tuned())
    look = quiet_look(tree)
    hotter = replace(look, end=replace(look.end, throttled={3: {"core": 1, "package": 0}}))
    assert found(judge("throughput", QUIET, facts(tree=tree), hotter))["heat"].level == "block"


def test_the_cpus_that_are_meant_unless_some_are_named(tmp_path: Path) -> None:
    tuned = host_tree.tree(tmp_path / "tuned", host_tree.tuned())
    assert quiet_cpus(frozenset(range(4)), tuned) == {2, 3}
    assert quiet_cpus(frozenset((0, 1, 2)), tuned) == {2}
    untuned = host_tree.laptop() | {f"{CPU}/cpu{cpu}/topology/thread_siblings_list": "0-1" for cpu in (0, 1)}
    laptop = host_tree.tree(tmp_path / "laptop", untuned)
    assert quiet_cpus(frozenset(range(4)), laptop) == {2, 3}  # not the core of CPU 0
    assert quiet_cpus(frozenset((0, 1)), laptop) == {1}
    assert quiet_cpus(frozenset((0,)), laptop) == {0}
    assert len(quiet_cpus(frozenset(range(64)), laptop)) == 4


# ------------------------------------------------------------------------------------------------- devices


def found_first(of: Checkup, name: str) -> Finding:
    return next(finding for finding in of.findings if finding.name == name)


@pytest.mark.parametrize("purpose", ["throughput", "latency"])
def test_a_good_device(tmp_path: Path, purpose: Purpose) -> None:
    tree = host_tree.tree(tmp_path, host_tree.tuned())
    it = judge(purpose, QUIET, replace(facts(tree=tree), devices={"eth1": card()}), quiet_look(tree))
    assert [finding.name for finding in it.findings if finding.level != "ok"] == []
    assert sum("eth1" in finding.what for finding in it.findings) == 9


@pytest.mark.parametrize(
    ("change", "name", "level", "command"),
    [
        ({"state": "down"}, "link", "warn", "ip netns exec lab ip link set eth1 up"),
        ({"features": ("rx-lro",)}, "merging", "warn", "ip netns exec lab ethtool -K eth1 lro off"),
        ({"receive_cpus": {"rx-0": "0-1"}}, "spreading", "advise",
         "ip netns exec lab sh -c 'echo 0 > /sys/class/net/eth1/queues/rx-0/rps_cpus'"),
        ({"pause": {"autoneg": 1, "rx": 1, "tx": 0}}, "flow_control", "warn",
         "ip netns exec lab ethtool -A eth1 autoneg off rx off tx off"),
        ({"coalesce": {"rx_us": 50, "rx_adaptive": 1}}, "interrupt_delay", "warn",
         "ip netns exec lab ethtool -C eth1 adaptive-rx off rx-usecs 0"),
        ({"coalesce": None}, "interrupt_delay", "unknown", None),
        ({"numa_node": 1}, "device_node", "warn", None),
        ({"numa_node": -1}, "device_node", "ok", None),
        ({"pcie": {"speed": "8.0 GT/s PCIe", "width": "8", "max_speed": "16.0 GT/s PCIe", "max_width": "16"}},
         "slot", "warn", None),
        ({"timestamps": ("software-receive",)}, "timestamps", "advise", None),
    ],
)  # fmt: skip
def test_a_device_for_latency(
    tmp_path: Path, change: dict[str, object], name: str, level: str, command: str | None
) -> None:
    nodes = {f"/sys/devices/system/node/node{node}/cpulist": cpus for node, cpus in enumerate(("2-3", "0-1"))}
    tree = host_tree.tree(tmp_path, host_tree.tuned() | nodes)
    device = card(netns="lab", **change)
    it = judge("latency", QUIET, replace(facts(tree=tree), devices={"lab/eth1": device}), quiet_look(tree))
    assert found_first(it, name).level == level
    assert found_first(it, name).commands == (() if command is None else (command,))


def test_rings_matter_for_throughput_alone(tmp_path: Path) -> None:
    tree = host_tree.tree(tmp_path, host_tree.tuned())
    short = card(rings={"rx": 512, "rx_max": 4096, "tx": 4096, "tx_max": 4096})
    with_device = replace(facts(tree=tree), devices={"eth1": short})
    assert found_first(judge("latency", QUIET, with_device, quiet_look(tree)), "device_rings").level == "ok"
    rings = found_first(judge("throughput", QUIET, with_device, quiet_look(tree)), "device_rings")
    assert (rings.level, rings.commands) == ("advise", ("ethtool -G eth1 rx 4096",))


def test_a_device_without_hardware_has_few_findings(tmp_path: Path) -> None:
    tree = host_tree.tree(tmp_path, host_tree.tuned())
    tap = card(name="t b", hardware=False, state="unknown", rings=None, pause=None, features=("rx-gro-hw",))
    it = judge("latency", QUIET, replace(facts(tree=tree), devices={"t b": tap}), quiet_look(tree))
    assert {finding.name for finding in it.findings if "t b" in finding.what} == {
        "link",
        "merging",
        "spreading",
    }
    assert found_first(it, "merging").commands == ("ethtool -K 't b' rx-gro-hw off",)

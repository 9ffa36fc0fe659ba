# SPDX-License-Identifier: Apache-2.0
"""Hosts that aren't this one: copies of the files in /proc and /sys by which the kernel tells about itself.

A host is a dict of texts by path. tuned() is as good as a lab's machine gets: four CPUs, each a core, of
which 2 and 3 are isolated. The others are made from it by what makes them worse.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from pathlib import Path

from forwarder.host.tree import Tree

Host = dict[str, str]

CPU = "/sys/devices/system/cpu"
CPUS = range(4)
QUIET = frozenset((2, 3))
SECRET = "hunter2"  # on the command line, and not ours to tell

CONFIG = 'CONFIG_HZ=1000\nCONFIG_PREEMPT_VOLUNTARY=y\nCONFIG_LOCALVERSION=""\n# CONFIG_KASAN is not set\n'
DEBUG_CONFIG = CONFIG + "CONFIG_KASAN=y\nCONFIG_LOCKDEP=y\nCONFIG_PROVE_LOCKING=y\n"


def tree(root: Path, host: Mapping[str, str]) -> Tree:
    """The host's files below a directory that is empty."""
    paths = {root / name.lstrip("/"): text for name, text in host.items()}
    for folder in {path.parent for path in paths}:
        folder.mkdir(parents=True, exist_ok=True)
    for path, text in paths.items():
        data = text.encode("latin-1")
        path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return Tree(root)


def tuned() -> Host:
    host = {
        "/proc/cpuinfo": (
            "processor\t: 0\nmodel name\t: Xeon 6\nmicrocode\t: 0x2b\n"
            "flags\t\t: fpu tsc constant_tsc nonstop_tsc\n\nprocessor\t: 1\nmodel name\t: other\n"
        ),
        "/proc/cmdline": (
            f"root=/dev/sda1 password={SECRET} isolcpus=managed_irq,domain,2-3 nohz_full=2-3 rcu_nocbs=2-3 "
            f"mitigations=auto -- token={SECRET} quiet\n"
        ),
        "/proc/config.gz": CONFIG,
        "/proc/interrupts": (
            "           CPU0       CPU1       CPU2       CPU3\n"
            "  8:          0          9          0          0  IO-APIC   8-edge      rtc0\n"
            " 36:        500          0          0          0  PCI-MSIX-0000:00:02.0   1-edge      nvme0q0\n"
            "LOC:      90000      90000        100        100   Local timer interrupts\n"
            "ERR:          0\n"
        ),
        "/proc/irq/default_smp_affinity": "3\n",
        "/proc/irq/8/effective_affinity_list": "1\n",
        "/proc/irq/36/effective_affinity_list": "0\n",
        "/proc/meminfo": (
            "MemTotal:       65536000 kB\nMemAvailable:   60000000 kB\nSwapTotal:             0 kB\n"
            "SwapFree:              0 kB\nHugePages_Total:       0\n"
        ),
        "/proc/net/softnet_stat": "".join(
            f"0000{cpu:04x} 00000000 00000000 {'00000000 ' * 9}{cpu:08x} 00000000 00000000\n" for cpu in CPUS
        ),
        "/proc/pressure/cpu": "some avg10=0.00 avg60=0.00 avg300=0.00 total=7000\n",
        "/proc/self/cgroup": "0::/system.slice/lab.service\n",
        "/proc/softirqs": "        CPU0       CPU1       CPU2       CPU3\n  NET_RX:   5   6   7   8\n",
        "/proc/stat": stat(dict.fromkeys(CPUS, ())),
        "/proc/1/comm": "systemd\n",
        "/proc/sys/kernel/io_uring_disabled": "0\n",
        "/proc/sys/kernel/nmi_watchdog": "0\n",
        "/proc/sys/kernel/numa_balancing": "0\n",
        "/proc/sys/kernel/osrelease": "6.12.1-lab\n",
        "/proc/sys/kernel/tainted": "0\n",
        "/proc/sys/kernel/version": "#1 SMP\n",
        "/proc/sys/kernel/watchdog_cpumask": "0-1\n",
        "/proc/sys/net/core/bpf_jit_enable": "1\n",
        "/proc/sys/net/core/netdev_max_backlog": "1000\n",
        "/sys/class/dmi/id/product_name": "Lab 1\n",
        "/sys/class/dmi/id/bios_version": "1.2\n",
        "/sys/devices/system/clocksource/clocksource0/available_clocksource": "tsc hpet acpi_pm\n",
        "/sys/devices/system/clocksource/clocksource0/current_clocksource": "tsc\n",
        "/sys/devices/system/node/node0/cpulist": "0-3\n",
        "/sys/devices/system/node/node0/distance": "10\n",
        "/sys/devices/virtual/workqueue/cpumask": "3\n",
        "/sys/fs/cgroup/system.slice/cgroup.procs": "",
        "/sys/fs/cgroup/system.slice/cpu.max": "max 100000\n",
        "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages": "0\n",
        "/sys/kernel/mm/ksm/run": "0\n",
        "/sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never\n",
        "/sys/kernel/mm/transparent_hugepage/shmem_enabled": "always within_size advise [never] deny force\n",
        "/dev/shm/x": "",
        "/dev/cpu_dma_latency": "\0\x94\x35\x77",  # no limit, as the kernel writes it
        f"{CPU}/online": "0-3\n",
        f"{CPU}/isolated": "2-3\n",
        f"{CPU}/nohz_full": "2-3\n",
        f"{CPU}/cpuidle/current_driver": "intel_idle\n",
        f"{CPU}/intel_pstate/no_turbo": "1\n",
        f"{CPU}/vulnerabilities/meltdown": "Not affected\n",
        f"{CPU}/vulnerabilities/spectre_v2": "Mitigation: Retpolines\n",
    }
    for cpu in CPUS:
        host |= {
            f"{CPU}/cpu{cpu}/{file}": text
            for file, text in {
                "cpufreq/scaling_driver": "intel_pstate\n",
                "cpufreq/scaling_governor": "performance\n",
                "cpufreq/energy_performance_preference": "performance\n",
                "cpuidle/state0/name": "POLL\n",
                "cpuidle/state0/latency": "0\n",
                "cpuidle/state0/disable": "0\n",
                "cpuidle/state1/name": "C1\n",
                "cpuidle/state1/latency": "2\n",
                "cpuidle/state1/disable": "0\n",
                "cpuidle/state10/name": "C6\n",
                "cpuidle/state10/latency": "170\n",
                "cpuidle/state10/disable": "0\n",
                "power/pm_qos_resume_latency_us": "n/a\n" if cpu in QUIET else "0\n",
                "thermal_throttle/core_throttle_count": "0\n",
                "thermal_throttle/package_throttle_count": "0\n",
                "topology/thread_siblings_list": f"{cpu}\n",
            }.items()
        }
    return host


def stat(ticks: Mapping[int, tuple[int, ...]]) -> str:
    """/proc/stat. By CPU, ticks of user, nice, system, idle, iowait, irq, softirq, steal; 0 by default."""
    rows = {cpu: (*values, *[0] * (10 - len(values))) for cpu, values in ticks.items()}
    return (
        "".join(f"cpu{cpu} {' '.join(map(str, row))}\n" for cpu, row in rows.items()) + "ctxt 1000\nbtime 1\n"
    )


def shared_vm() -> Host:
    """A virtual machine of two CPUs that tells little, as many clouds have them."""
    host = {name: text for name, text in tuned().items() if "/cpufreq/" not in name and "thermal" not in name}
    for name in (f"{CPU}/nohz_full", f"{CPU}/intel_pstate/no_turbo", "/sys/class/dmi/id/product_name"):
        del host[name]
    return host | {
        "/proc/cpuinfo": "model name\t: vCPU\nflags\t\t: tsc constant_tsc nonstop_tsc hypervisor\n",
        "/proc/cmdline": "console=ttyS0\n",
        f"{CPU}/online": "0-1\n",
        f"{CPU}/isolated": "\n",
        f"{CPU}/vulnerabilities/spectre_v2": "Vulnerable\n",
        "/proc/stat": stat({0: (0, 0, 0, 0, 0, 0, 0, 5), 1: ()}),
    }


def laptop() -> Host:
    """Nobody has tuned it: power is saved, and everything runs everywhere."""
    host = tuned() | {
        "/proc/cmdline": "quiet splash\n",
        "/proc/7/comm": "irqbalance\n",
        "/proc/irq/36/effective_affinity_list": "2\n",
        "/proc/meminfo": "MemTotal: 16000000 kB\nSwapTotal: 8000000 kB\nSwapFree: 8000000 kB\n",
        "/proc/sys/kernel/nmi_watchdog": "1\n",
        "/proc/sys/kernel/watchdog_cpumask": "0-3\n",
        "/proc/sys/net/core/bpf_jit_enable": "0\n",
        "/sys/devices/virtual/workqueue/cpumask": "f\n",
        "/sys/kernel/mm/ksm/run": "1\n",
        "/sys/kernel/mm/transparent_hugepage/enabled": "[always] madvise never\n",
        f"{CPU}/isolated": "\n",
        f"{CPU}/nohz_full": "(null)\n",
        f"{CPU}/intel_pstate/no_turbo": "0\n",
    }
    for cpu in CPUS:
        host |= {
            f"{CPU}/cpu{cpu}/cpufreq/scaling_governor": "powersave\n",
            f"{CPU}/cpu{cpu}/cpufreq/energy_performance_preference": "balance_power\n",
            f"{CPU}/cpu{cpu}/power/pm_qos_resume_latency_us": "0\n",
            f"{CPU}/cpu{cpu}/thermal_throttle/core_throttle_count": "3\n",
        }
    return host

# SPDX-License-Identifier: Apache-2.0
"""The kernel: which one, how it was built and started, and its settings."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Self

from forwarder.host.boot_words import boot_words
from forwarder.host.finding import Case, Finding, Level, judged, sysctl
from forwarder.host.tree import Tree

_SYSCTLS = (
    "kernel/io_uring_disabled",
    "kernel/nmi_watchdog",
    "kernel/sched_rt_runtime_us",
    "kernel/timer_migration",
    "kernel/unprivileged_bpf_disabled",
    "kernel/watchdog",
    "net/core/bpf_jit_enable",
    "net/core/busy_poll",
    "net/core/netdev_budget",
    "net/core/netdev_budget_usecs",
    "net/core/netdev_max_backlog",
    "net/core/optmem_max",
    "net/core/rmem_default",
    "net/core/rmem_max",
    "net/core/rps_sock_flow_entries",
    "net/core/wmem_max",
    "vm/stat_interval",
    "vm/swappiness",
)

# Checks that cost every packet or every lock much.
_DEBUG_OPTIONS = (
    "DEBUG_ATOMIC_SLEEP",
    "DEBUG_KMEMLEAK",
    "DEBUG_LOCK_ALLOC",
    "DEBUG_MUTEXES",
    "DEBUG_OBJECTS",
    "DEBUG_PAGEALLOC_ENABLE_DEFAULT",
    "DEBUG_PREEMPT",
    "DEBUG_SPINLOCK",
    "DEBUG_VM_PGFLAGS",
    "FAULT_INJECTION",
    "GCOV_KERNEL",
    "KASAN",
    "KCOV",
    "KCSAN",
    "KMSAN",
    "LOCKDEP",
    "LOCK_STAT",
    "PROVE_LOCKING",
    "PROVE_RCU",
    "SLUB_DEBUG_ON",
    "UBSAN",
)
_CHECKS = ("slub_debug", "slab_debug", "page_poison")  # that the command line turns on
# Taints that say that something went wrong.
_TAINTS = {
    "M": "machine check",
    "B": "bad page",
    "D": "it has died",
    "W": "warning",
    "L": "soft lockup",
}
_TELLING = (
    "HZ",
    "PREEMPT",
    "PREEMPT_DYNAMIC",
    "PREEMPT_LAZY",
    "PREEMPT_NONE",
    "PREEMPT_RT",
    "PREEMPT_VOLUNTARY",
)


@dataclass(frozen=True)
class Kernel:
    release: str | None
    build: str | None  # "#1 SMP PREEMPT_DYNAMIC ..."
    options: Mapping[str, str] | None  # of its configuration: tick, preemption
    debug_options: tuple[str, ...] | None
    boot_words: Mapping[str, str] | None
    taints: str | None  # letters, "" for none
    sysctls: Mapping[str, str]
    turbotap: str | None  # version of the module, where it is loaded

    @classmethod
    def read(cls, tree: Tree) -> Self:
        release = tree.text("/proc/sys/kernel/osrelease")
        options = _options(tree, release)
        taints = tree.number("/proc/sys/kernel/tainted")
        return cls(
            release=release,
            build=tree.text("/proc/sys/kernel/version"),
            options=None
            if options is None
            else {name: options[name] for name in _TELLING if name in options},
            debug_options=_debug_options(tree, options),
            boot_words=boot_words(tree),
            taints=None if taints is None else taint_letters(taints),
            sysctls={name: text for name in _SYSCTLS if (text := tree.text(f"/proc/sys/{name}")) is not None},
            turbotap=tree.text("/sys/module/turbotap/version"),
        )

    def findings(self, case: Case) -> Iterator[Finding]:
        checks = [*(self.debug_options or ()), *(word for word in _CHECKS if word in (self.boot_words or {}))]
        yield judged(
            "debug_kernel",
            "debug kernel",
            ", ".join(checks) or (None if self.debug_options is None else "no"),
            not checks,
            "block",
            "/proc/config.gz",
            "Its checks cost every packet and every lock several times what they do elsewhere. "
            "Boot the distribution's usual kernel.",
        )
        bad = [letter for letter in self.taints or "" if letter in _TAINTS]
        yield judged(
            "taints",
            "kernel's health",
            None if self.taints is None else ", ".join(_TAINTS[letter] for letter in bad) or "good",
            not bad,
            "warn",
            "/proc/sys/kernel/tainted",
            "After such an event a kernel isn't what it was, and may check more. Restart the machine.",
        )
        yield self._set_to(
            "bpf_compiler",
            "BPF compiler",
            "net/core/bpf_jit_enable",
            ("1",),
            "warn",
            "BPF programs send, receive and steer packets. Interpreted ones take several times as long.",
        )
        yield self._set_to(
            "nmi_watchdog",
            "NMI watchdog",
            "kernel/nmi_watchdog",
            ("0",),
            "advise",
            "It interrupts every CPU every few seconds, and occupies a counter that `perf` wants.",
        )
        yield self._set_to(
            "io_uring",
            "io_uring forbidden",
            "kernel/io_uring_disabled",
            ("0", "1"),
            "advise",
            "Driver `uring`, the fastest for taps, needs it. (1 forbids it to others than root: no harm.)",
        )

    def _set_to(
        self, name: str, what: str, key: str, good: tuple[str, ...], level: Level, why: str
    ) -> Finding:
        value = self.sysctls.get(key)
        change = sysctl(key.replace("/", "."), good[0])
        return judged(name, what, value, value in good, level, f"/proc/sys/{key}", why, *change)


def _options(tree: Tree, release: str | None) -> Mapping[str, str] | None:
    """The configuration that the kernel was built with, as far as anybody tells. Values without quotes."""
    text: str | None = None
    try:
        text = gzip.decompress(tree.path("/proc/config.gz").read_bytes()).decode()
    except (OSError, EOFError, UnicodeDecodeError):
        places = (
            f"/boot/config-{release}",
            f"/lib/modules/{release}/config",
            f"/lib/modules/{release}/build/.config",
        )
        text = next((found for place in places if (found := tree.text(place)) is not None), None)
    if text is None:
        return None
    pairs = re.findall(r"^CONFIG_(\w+)=(.*)$", text, re.MULTILINE)
    return {name: value.strip('"') for name, value in pairs}


def _debug_options(tree: Tree, options: Mapping[str, str] | None) -> tuple[str, ...] | None:
    if options is not None:
        return tuple(name for name in _DEBUG_OPTIONS if options.get(name) == "y")
    return ("LOCKDEP",) if tree.exists("/proc/lockdep") else None


def taint_letters(bits: int) -> str:
    """The letters of Documentation/admin-guide/tainted-kernels.rst, for the bits that are set."""
    letters = "PFSRMBUDAWCIOELKXTNJ"
    return "".join(
        letters[bit] if bit < len(letters) else "?" for bit in range(bits.bit_length()) if bits >> bit & 1
    )

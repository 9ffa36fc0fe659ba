# SPDX-License-Identifier: Apache-2.0
"""Finds the lines of a kernel log that report a fault of the kernel."""

from __future__ import annotations

import re

_FAULT = re.compile(
    r"""
    BUG: | kernel\ BUG | Oops: | WARNING: | Kernel\ panic | general\ protection | unable\ to\ handle
    | KASAN: | UBSAN: | ODEBUG: | kmemleak:\ [1-9]\d*\ new
    | circular\ locking | recursive\ locking | inconsistent\ lock
    | suspicious\ RCU | sleeping\ function\ called
    | possible\ irq\ lock | still\ held | scheduling\ while\ atomic | irqs\ (last\ )?(en|dis)abled
    | refcount_t: | ref_tracker: | unregister_netdevice:\ waiting | blocked\ for\ more\ than
    | list_(add|del)\ corruption | Poison\ overwritten | Object\ already\ free | usercopy:
    | turbotap:.*([Uu]nknown\ symbol|disagrees)
    """,
    re.VERBOSE,
)


def faults(log: str) -> list[str]:
    """The lines of a kernel log that report a fault: warnings, oopses, sanitizers, lockdep, leaks, hangs."""
    return [line for line in log.splitlines() if _FAULT.search(line)]

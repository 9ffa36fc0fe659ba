# SPDX-License-Identifier: Apache-2.0
"""The words of the kernel's command line that a measurement depends on.

Other words are never recorded: a result is shown to others, and a command line may hold what isn't for them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from forwarder.host.tree import Tree

FILE = "/proc/cmdline"

_WORDS = re.compile(
    r"""(?x)
    amd_iommu | amd_pstate | clocksource | cpuidle[.]off | cpuidle_haltpoll[.]force |
    default_hugepagesz | gather_data_sampling | hugepages | hugepagesz | idle | init_on_alloc |
    init_on_free | intel_idle[.]max_cstate | intel_iommu | intel_pstate | iommu | iommu[.]passthrough |
    iommu[.]strict | irqaffinity | isolcpus | kpti | kthread_cpus | l1tf | mce | mds | mitigations |
    nmi_watchdog | nohz | nohz_full | nopti | nosmt | nosoftlockup | nospectre_v1 | nospectre_v2 |
    nowatchdog | numa_balancing | page_poison | pcie_aspm | preempt | processor[.]max_cstate | psi |
    pti | rcu_nocb_poll | rcu_nocbs | rcupdate[.]rcu_normal_after_boot | retbleed | skew_tick |
    slab_debug | slub_debug | spec_rstack_overflow | spec_store_bypass_disable | spectre_v2 | srbds |
    threadirqs | transparent_hugepage | tsc | tsx | tsx_async_abort | workqueue[.]power_efficient
    """
)


def boot_words(tree: Tree) -> Mapping[str, str] | None:
    """Value by word (the last one counts), "" for a word without one. None: the command line is unknown."""
    text = tree.text(FILE)
    if text is None:
        return None
    kernels = text.split(" -- ")[0]  # what follows is for the first process
    pairs = (word.partition("=") for word in kernels.split())
    return {word: value for word, _, value in pairs if _WORDS.fullmatch(word)}

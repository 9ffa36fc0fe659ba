# SPDX-License-Identifier: Apache-2.0
"""The goals of a search (RFC 9971), by the names that a user gives them.

    ndr, pdr   as FD.io CSIT has them
    rfc2544    RFC 2544's throughput: one trial of a minute, without loss
    tst009     ETSI GS NFV-TST 009: "binary search with loss verification", z infinite, max(r) = 2
    quick      no drop rate and partial drop rate in seconds, for a first look. Not fit to be published

A goal is reached when a lower and an upper bound are so near each other as its width says. A load is a bound
after trials of `duration_sum_s` in all. Of these, `exceed_ratio` may lose more than `loss_ratio`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from forwarder.errors import UsageError


@dataclass(frozen=True, slots=True)
class SearchGoal:
    name: str
    loss_ratio: float
    exceed_ratio: float
    initial_trial_s: float  # of the first, coarse trials
    final_trial_s: float
    duration_sum_s: float
    width: float  # of the upper bound
    preceding_targets: int = 2  # coarser goals on the way, which only make the search shorter
    publishable: bool = True


_NDR = SearchGoal("ndr", 0.0, 0.5, 1.0, 1.0, 21.0, 0.005)
_PDR = SearchGoal("pdr", 0.005, 0.5, 1.0, 1.0, 21.0, 0.005)
_RFC2544 = SearchGoal("rfc2544", 0.0, 0.0, 1.0, 60.0, 60.0, 0.005)
_TST009 = SearchGoal("tst009", 0.0, 0.5, 1.0, 60.0, 120.0, 0.005)
_QUICK_NDR = SearchGoal("quick_ndr", 0.0, 0.5, 0.5, 0.5, 3.0, 0.02, publishable=False)
_QUICK_PDR = SearchGoal("quick_pdr", 0.005, 0.5, 0.5, 0.5, 3.0, 0.02, publishable=False)

PRESETS: Mapping[str, tuple[SearchGoal, ...]] = MappingProxyType(
    {
        "ndr": (_NDR,),
        "pdr": (_PDR,),
        "rfc2544": (_RFC2544,),
        "tst009": (_TST009,),
        "quick": (_QUICK_NDR, _QUICK_PDR),
    }
)
DEFAULT = "ndr,pdr"


def goals(names: str) -> tuple[SearchGoal, ...]:
    """The goals of "ndr,pdr", each once, in this order. Raises UsageError."""
    found: dict[str, SearchGoal] = {}
    for name in names.split(","):
        preset = PRESETS.get(name.strip())
        if preset is None:
            raise UsageError(f'no goal "{name.strip()}" (goals: {", ".join(PRESETS)})')
        found |= {goal.name: goal for goal in preset}
    return tuple(found.values())

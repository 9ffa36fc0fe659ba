# SPDX-License-Identifier: Apache-2.0
"""The words of a report: what a newcomer is told, and the terms of the standards behind them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from forwarder.report import figures
from forwarder.report.document import Tone
from forwarder.results.model import Goal, Profile, Test, Verdict

TESTS: Mapping[Test, str] = MappingProxyType(
    {
        "selftest": "the tester against itself, without a device under test",
        "mrr": "what is received at the highest load (MRR)",
        "ndrpdr": "the highest load at which nothing (NDR) or nearly nothing (PDR) is lost",
        "latency": "how long frames take at fixed loads",
        "loss": "how much is lost at each load",
        "burst": "the longest burst of which nothing is lost",
        "soak": "a steady load for a long time",
        "reconf": "what is lost while ports come and go",
        "reset": "what is lost when a worker is killed",
        "quick": "a first look: throughput and latency in two minutes, too short to publish",
    }
)

VERDICTS: Mapping[Verdict, tuple[str, Tone]] = MappingProxyType(
    {
        "dut_limited": ("the device under test was the limit", "good"),
        "generator_limited": ("the generator was the limit: the device may be faster", "bad"),
        "receiver_limited": ("the receiver was the limit: the device may be faster", "bad"),
        "noisy": ("the machine disturbed it", "warn"),
        "inconclusive": ("what the limit was isn't known", "warn"),
    }
)

GLOSSARY: tuple[tuple[str, str], ...] = (
    ("DUT", "the device under test: what forwards the frames"),
    ("trial", "frames sent at one load for some time, and counted"),
    ("load", "frames a second that are due in each direction"),
    ("lower bound", "the highest load that met the goal, after all trials (RFC 9971: Relevant Lower Bound)"),
    ("upper bound", "the lowest load above it that did not meet the goal (RFC 9971: Relevant Upper Bound)"),
    (
        "conditional throughput",
        "what was forwarded of the lower bound's load in a median trial (RFC 9971)",
    ),
    ("regular", "both bounds were found, and lie no farther apart than the goal's width"),
    ("path", "from the time stamp in a frame to the receiver's: what the way took"),
    ("response", "from when a frame was due to the receiver's stamp: a wait before the generator is in it"),
    ("lateness", "from when a frame was due to its time stamp: the generator's own quality"),
    ("p99", "99 of 100 frames took no longer"),
    ("PDV", "packet delay variation: the 99.9th percentile of path less its minimum (RFC 5481)"),
    ("IPDV", "how much a frame's path differs from the next frame's (RFC 3393)"),
    ("void", "a trial that the machine disturbed: it is repeated, and counts for nothing"),
    ("verdict", "what limited a trial or a search"),
    ("unsent", "frames that were due and never left the generator; they count as lost (RFC 9971)"),
    ("fps", "frames a second"),
)


def goal_title(goal: Goal) -> str:
    """NDR and PDR as the field writes them: "NDR", "quick PDR"."""
    return _titled(goal.name)


def _titled(name: str) -> str:
    return " ".join(word.upper() if word in ("ndr", "pdr") else word for word in name.split("_"))


def goal_meaning(goal: Goal) -> str:
    return "nothing lost" if goal.loss_ratio == 0 else f"at most {figures.ratio(goal.loss_ratio)} lost"


def traffic(profile: Profile) -> str:
    """The traffic in one line."""
    ways = "one direction" if profile.directions == 1 else "both directions"
    if profile.pcap is not None:
        mean = f"on average {profile.mean_frame_bytes:.0f} bytes without FCS"
        return f"the frames of {profile.pcap}, {mean}, {ways}"
    size = f"{profile.sizes}-byte frames" if profile.sizes.isdigit() else f"frames of {profile.sizes} bytes"
    flows = "1 flow" if profile.flows == 1 else f"{profile.flows:,} flows"
    vlans = f", {len(profile.vlans)} VLAN tags" if profile.vlans else ""
    return f"{size} without FCS, IPv{profile.ip}{vlans}, {flows}, {ways}"


def load_title(load: str) -> str:
    """ "pdr_50" is "50 % of PDR"; any other load stays as it is."""
    base, _, part = load.rpartition("_")
    if not base or not re.fullmatch(r"\d+(\.\d+)?", part):
        return load
    return f"{part} % of {_titled(base)}" if float(part) else "low load"

# SPDX-License-Identifier: Apache-2.0
"""A profile: the traffic of a measurement, and how each test goes about it. A TOML file, and options over it.

Every key has a default, so that a profile needs only what differs. configs/bench/ has examples.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from forwarder.config.document import parse_toml, read_text, validate
from forwarder.errors import ConfigError, Problem
from forwarder.tester.traffic import Traffic

GoalName = Literal["ndr", "pdr", "rfc2544", "tst009", "quick"]
TrialSeconds = Annotated[float, Field(ge=0.1, le=3600, description="seconds of sending of one trial")]
LoadPercent = Annotated[float, Field(ge=0, le=100)]


def _at_least_one(names: tuple[GoalName, ...]) -> tuple[GoalName, ...]:
    if not names:
        raise ValueError(f"a search needs a goal: {', '.join(get_args(GoalName))}")
    return names


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class SelftestKeys(_Table):
    """[selftest]: of the tester alone, before any other test."""

    trial_s: TrialSeconds = 1.0


class Mrr(_Table):
    """[mrr]: what is received at the highest load."""

    trials: int = Field(default=10, ge=1, le=1000)
    trial_s: TrialSeconds = 1.0


class LatencyKeys(_Table):
    """[latency]: at parts of the PDR's lower bound."""

    loads_percent: tuple[LoadPercent, ...] = Field(
        default=(0.0, 10.0, 50.0, 90.0),
        strict=False,
        max_length=20,
        description="of the PDR's lower bound; 0: a thousand frames a second",
        examples=[[0, 10, 50, 90]],
    )
    duration_s: float = Field(default=30.0, ge=0.1, le=86400, description="seconds at each load")
    trial_s: TrialSeconds = 5.0


class LossKeys(_Table):
    """[loss]: loss at falling loads (RFC 2544, 26.3)."""

    step_percent: float = Field(
        default=10.0, ge=1, le=50, description="of the highest load, between two points"
    )
    trial_s: TrialSeconds = 10.0


class BurstKeys(_Table):
    """[burst]: the longest burst of which nothing is lost (RFC 9004)."""

    repeats: int = Field(default=10, ge=1, le=1000)
    max_frames: int = Field(default=1_000_000, ge=2, le=100_000_000)


class SoakKeys(_Table):
    """[soak]: a constant load for long."""

    load_percent: float = Field(default=90.0, ge=1, le=100, description="of the NDR's lower bound")
    duration_s: float = Field(default=1800.0, ge=0.1, le=7 * 86400)
    trial_s: TrialSeconds = 10.0


class OutageKeys(_Table):
    """[reset] and [reconf]: what an event costs while traffic passes."""

    load_percent: float = Field(default=50.0, ge=1, le=100, description="of the NDR's lower bound")
    events: int = Field(default=5, ge=1, le=1000)
    trial_s: TrialSeconds = 3.0


class BenchProfile(_Table):
    """The file."""

    traffic: Traffic = Traffic()
    receiver: Literal["tc", "xdp", "packet"] | None = Field(
        default=None,
        description="tc: as a host's own stack would get the frames; xdp: cheaper for the DUT; packet: by a "
        "packet socket, with the NIC's timestamps where it has any. packet for a capture, else tc",
    )
    goals: Annotated[tuple[GoalName, ...], AfterValidator(_at_least_one)] = Field(
        default=("ndr", "pdr"), strict=False, description="of a search", examples=[["ndr", "pdr"]]
    )
    repeat: int | None = Field(
        default=None, ge=1, le=100, description="starts of the DUT; 3 where it can be started anew, else 1"
    )
    rate_per_s: float | None = Field(
        default=None,
        ge=1,
        le=1e9,
        description="frames a second that stand for the throughput, instead of a search for it",
    )
    max_time_s: float | None = Field(
        default=None, ge=1, le=30 * 86400, description="a search that takes longer ends, and says so"
    )
    selftest: SelftestKeys = SelftestKeys()
    mrr: Mrr = Mrr()
    latency: LatencyKeys = LatencyKeys()
    loss: LossKeys = LossKeys()
    burst: BurstKeys = BurstKeys()
    soak: SoakKeys = SoakKeys()
    reset: OutageKeys = OutageKeys()
    reconf: OutageKeys = OutageKeys()


# Options of the command line, and the keys that they stand for.
OPTIONS: Mapping[str, tuple[str, ...]] = {
    "sizes": ("traffic", "sizes"),
    "flows": ("traffic", "flows"),
    "ip": ("traffic", "ip"),
    "vlan": ("traffic", "vlans"),
    "directions": ("traffic", "directions"),
    "pcap": ("traffic", "pcap"),
    "goal": ("goals",),
    "receiver": ("receiver",),
    "repeat": ("repeat",),
    "rate": ("rate_per_s",),
    "max-time": ("max_time_s",),
}


def load_profile(
    path: Path | None, options: Mapping[str, object], base: Mapping[str, Any] = MappingProxyType({})
) -> BenchProfile:
    """The profile of a file (None: the defaults), changed by `options`, which are named as in OPTIONS.

    `base` has defaults of a test that differ from those of the keys. Raises ConfigError.
    """
    document = parse_toml(read_text(path), str(path)) if path is not None else {}
    _, problems, _ = validate(BenchProfile, document)
    if problems:
        raise ConfigError(str(path), problems)
    changed, by_path = _over(base, document), {}
    for option, value in options.items():
        *tables, key = OPTIONS[option]
        table = changed
        for name in tables:
            table = table.setdefault(name, {})
        table[key] = value
        by_path[".".join(OPTIONS[option])] = option
    found, problems, _ = validate(BenchProfile, changed)
    if found is None or problems:
        raise ConfigError("ttfwd bench", [_of_option(problem, by_path) for problem in problems])
    return found


def _of_option(problem: Problem, by_path: Mapping[str, str]) -> Problem:
    """The problem, at the option that is to blame."""
    key = problem.key_path.partition("[")[0]
    option = by_path.get(key)
    return problem if option is None else Problem(f"--{option}", problem.message)


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of both; where both have a key, the value above."""
    found = dict(below)
    for key, value in above.items():
        found[key] = _over(found.get(key, {}), value) if isinstance(value, Mapping) else value
    return found

# SPDX-License-Identifier: Apache-2.0
"""What is different on this host from the host of a result."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from forwarder.host.aspect import varying
from forwarder.host.facts import Facts
from forwarder.results.model import Host


@dataclass(frozen=True, slots=True)
class Difference:
    fact: str  # "power.governor.performance"
    then: Any  # as JSON has it; None: unknown, or not there
    now: Any
    varies: bool  # it may be different from one run to the next


@dataclass(frozen=True)
class Comparison:
    fingerprint: str  # of the result's host
    same_fingerprint: bool
    differences: tuple[Difference, ...]

    @property
    def settings(self) -> tuple[Difference, ...]:
        """Those that somebody has made."""
        return tuple(each for each in self.differences if not each.varies)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def compare(result: Host, now: Facts) -> Comparison:
    """Devices are compared if both have them: the test's own may be gone."""
    found = json.loads(json.dumps(now.to_json()))  # as a result has it: lists for tuples
    then = dict(result.facts)
    here, there = found.pop("devices"), then.pop("devices", {})
    both = here.keys() & there.keys()
    pairs = [
        (then, found),
        ({"devices": {name: there[name] for name in both}}, {"devices": {name: here[name] for name in both}}),
    ]
    changing = {f"{name}.{fact}" for name, aspect in now.aspects() for fact in varying(aspect)}
    differences = [
        Difference(fact, old, new, ".".join(fact.split(".")[:2]) in changing)
        for old_facts, new_facts in pairs
        for fact, old, new in _different(dict(_flat(old_facts)), dict(_flat(new_facts)))
    ]
    return Comparison(result.fingerprint, result.fingerprint == now.fingerprint, tuple(differences))


def _flat(facts: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in facts.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _different(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    for fact in sorted(then.keys() | now.keys()):
        if then.get(fact) != now.get(fact):
            yield fact, then.get(fact), now.get(fact)

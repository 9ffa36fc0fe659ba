# SPDX-License-Identifier: Apache-2.0
"""What probe frames say of each cable: whether it goes where the inventory has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .cables import Cable, End, cables


def judge(
    links: Sequence[Mapping[str, str]], heard: Mapping[str, Mapping[str, Sequence[str]]]
) -> list[dict[str, Any]]:
    """Of each cable {cable, good, says}. `heard` has the senders by interface, of each host that probed."""
    return [_judge(cable, heard) for cable in cables(links)]


def _judge(cable: Cable, heard: Mapping[str, Mapping[str, Sequence[str]]]) -> dict[str, Any]:
    silent = [end.host for end in (cable.a, cable.b) if end.host not in heard]
    said = [_one_way(cable.a, cable.b, heard), _one_way(cable.b, cable.a, heard)]
    if silent:
        words = f"not probed: {' and '.join(silent)} can't be asked"
    elif not any(said):
        words = "good"
    elif all(one == "nothing" for one in said):
        words = "dead: nothing comes through"
    else:
        words = "; ".join(
            f"{end} hears {one}, not {other}"
            for end, other, one in ((cable.a, cable.b, said[0]), (cable.b, cable.a, said[1]))
            if one
        )
    return {"cable": str(cable), "good": words == "good", "says": f"{cable}: {words}"}


def _one_way(at: End, expected: End, heard: Mapping[str, Mapping[str, Sequence[str]]]) -> str:
    """What is heard at an end instead of the expected one; empty if that is heard."""
    senders = heard.get(at.host, {}).get(at.interface, ())
    return "" if str(expected) in senders else " and ".join(sorted(senders)) or "nothing"

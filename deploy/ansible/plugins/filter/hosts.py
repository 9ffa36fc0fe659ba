# SPDX-License-Identifier: Apache-2.0
"""Which hosts a playbook failed on, and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..module_utils.failure import failure


def reason(result: Mapping[str, Any]) -> str:
    """Why a task failed. That of a loop has a result for each of its items."""
    failed = [one for one in result.get("results", [result]) if one.get("failed")] or [result]
    return "; ".join(map(_of_one, failed))


def _of_one(result: Mapping[str, Any]) -> str:
    """Ansible's own words, and those of the program that it ran."""
    said = [result.get("msg"), result.get("stderr") or result.get("stdout")]
    return ": ".join(str(part).strip() for part in said if part) or "failed"


def failures(groups: Mapping[str, Sequence[str]], hostvars: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A line for each host that failed."""
    found = ((name, failure(hostvars[name])) for name in groups.get("all", ()))
    return [f"{name}: {why}" for name, why in found if why]


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"lab_failures": failures, "lab_reason": reason}

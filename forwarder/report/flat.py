# SPDX-License-Identifier: Apache-2.0
"""Nested values as one table: a row for each single value."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def flattened(values: Mapping[str, Any]) -> dict[str, str]:
    """{"cpu": {"model": "x"}} is {"cpu.model": "x"}. A list of single values is one value."""
    found: dict[str, str] = {}

    def walk(value: Any, key: str) -> None:
        if isinstance(value, dict) and value:
            for name, inner in value.items():
                walk(inner, f"{key}.{name}" if key else str(name))
        elif isinstance(value, list) and any(isinstance(inner, dict | list) for inner in value):
            for number, inner in enumerate(value):
                walk(inner, f"{key}[{number}]")
        elif isinstance(value, list):
            found[key] = ", ".join(map(_word, value)) or "none"
        else:
            found[key] = _word(value)

    walk(dict(values), "")
    return {key: value for key, value in found.items() if key}


def _word(value: Any) -> str:
    match value:
        case None:
            return "unknown"
        case str():
            return value
        case {}:
            return "none"
        case _:
            return json.dumps(value)

# SPDX-License-Identifier: Apache-2.0
"""A profile of ttfwd bench, from the inventory's keys."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def toml(profile: Mapping[str, Any]) -> str:
    """Keys, then tables. Numbers, words, truth values and lists of them look the same in JSON."""
    keys = [
        f"{key} = {json.dumps(value)}" for key, value in profile.items() if not isinstance(value, Mapping)
    ]
    tables = [f"[{key}]\n{toml(value)}" for key, value in profile.items() if isinstance(value, Mapping)]
    return "\n".join([*keys, *tables, ""])

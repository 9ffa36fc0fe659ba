# SPDX-License-Identifier: Apache-2.0
"""The kernel's lists of CPUs, for playbooks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..module_utils.cpus import numbers


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"lab_cpu_numbers": numbers}

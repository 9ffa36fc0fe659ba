# SPDX-License-Identifier: Apache-2.0
"""Why a host failed, by the variables that the playbooks' tasks/host.yml leaves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def failure(host: Mapping[str, Any]) -> str | None:
    """The reason; None if the host didn't fail. Why a connection broke Ansible says, and keeps nowhere."""
    if "lab_failure" in host:
        return str(host["lab_failure"])
    if host.get("lab_doing"):
        return f"the connection broke during {host['lab_doing']}; UNREACHABLE above says why"
    return None

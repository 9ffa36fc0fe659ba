# SPDX-License-Identifier: Apache-2.0
"""What a machine must offer to a test. A test that finds it missing is skipped, and the skip names it.

tests/conftest.py says where such a skip is a failure.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NoReturn

import pytest

REASON = "missing capability: "


def missing(capability: str) -> NoReturn:
    """Skip the running test, naming what it needs and this machine doesn't have."""
    pytest.skip(REASON + capability, allow_module_level=True)


def require_root() -> None:
    if os.geteuid() != 0:
        missing("root")


def require_tun() -> None:
    if not Path("/dev/net/tun").exists():
        missing("/dev/net/tun")

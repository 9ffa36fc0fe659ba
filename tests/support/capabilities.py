# SPDX-License-Identifier: Apache-2.0
"""Capabilities of the machine that a test needs. A test without one is skipped, and the skip names it.

tests/conftest.py decides when such a skip is a failure.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NoReturn

import pytest

from forwarder.errors import TtfwdError
from forwarder.tester import native

REASON = "missing capability: "


def missing(capability: str) -> NoReturn:
    """Skip the running test. The skip names the missing capability."""
    pytest.skip(REASON + capability, allow_module_level=True)


def require_root() -> None:
    if os.geteuid() != 0:
        missing("root")


def require_tun() -> None:
    if not Path("/dev/net/tun").exists():
        missing("/dev/net/tun")


def require_tester() -> None:
    """The extension forwarder._tester: it is built where clang and libbpf are."""
    try:
        native.load()
    except TtfwdError as error:
        missing(f"the tester: {error}")

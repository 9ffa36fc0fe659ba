# SPDX-License-Identifier: Apache-2.0
"""What runs here: the version, the version of its shared memory, and what it was built from."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

from forwarder.native import lib

_PACKAGE = Path(__file__).resolve().parents[1]


def built_from() -> str:
    """The source of what is installed, in words. Source: built_from.txt, which a build writes (setup.py)."""
    try:
        return (_PACKAGE / "built_from.txt").read_text().strip()
    except FileNotFoundError:
        return f"the source tree {_PACKAGE.parent}"


def facts() -> dict[str, str | int]:
    """What `ttfwd version --json` prints."""
    return {"ttfwd": version("ttfwd"), "abi_version": int(lib.TTF_ABI_VERSION), "built_from": built_from()}


def line() -> str:
    """What `ttfwd --version` prints."""
    found = facts()
    return f"ttfwd {found['ttfwd']} (ABI {found['abi_version']}), built from {found['built_from']}"

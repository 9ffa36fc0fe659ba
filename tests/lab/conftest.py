# SPDX-License-Identifier: Apache-2.0
"""Tests that take minutes run where `make test-lab` asks for them."""

from __future__ import annotations

import os

_LONG = ("lint", "machine", "matrix", "module", "monitor", "port", "reach", "repository", "site")
collect_ignore_glob = [] if os.environ.get("TTFWD_LAB") else [f"test_{name}.py" for name in _LONG]

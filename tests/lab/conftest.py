# SPDX-License-Identifier: Apache-2.0
"""Tests that take minutes run where `make test-lab` asks for them."""

from __future__ import annotations

import os

collect_ignore_glob = (
    [] if os.environ.get("TTFWD_LAB") else ["test_lint.py", "test_matrix.py", "test_port.py", "test_site.py"]
)

# SPDX-License-Identifier: Apache-2.0
"""These tests need built packages: `make test-packages` runs them, and names the folder with the packages."""

from __future__ import annotations

import os

collect_ignore_glob = [] if os.environ.get("TTFWD_PACKAGES") else ["test_*.py"]

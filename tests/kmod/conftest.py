# SPDX-License-Identifier: Apache-2.0
"""Which tests of this folder run where: those of guest/ need the module, and so run in a guest alone."""

from __future__ import annotations

import os

# test_guest.py starts the guests, and reports what ran in them.
collect_ignore = [] if os.environ.get("TTFWD_GUEST") else ["guest"]

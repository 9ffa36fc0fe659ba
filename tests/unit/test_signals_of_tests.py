# SPDX-License-Identifier: Apache-2.0
"""No test can end the whole run by a signal."""

from __future__ import annotations

import os

import pytest


@pytest.mark.parametrize("group", [0, -os.getpgid(0)])
def test_no_signal_goes_to_a_process_group(group: int) -> None:
    with pytest.raises(AssertionError, match="to a process group"):
        os.kill(group, 0)

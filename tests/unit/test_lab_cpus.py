# SPDX-License-Identifier: Apache-2.0
"""How playbooks read the kernel's lists of CPUs."""

from __future__ import annotations

import pytest

from deploy.ansible.plugins.module_utils.cpus import numbers


@pytest.mark.parametrize(
    ("text", "cpus"), [("1,4-6\n", [1, 4, 5, 6]), ("0-1\n", [0, 1]), ("\n", []), (" (null)\n", [])]
)
def test_ranges_are_written_out(text: str, cpus: list[int]) -> None:
    assert numbers(text) == cpus

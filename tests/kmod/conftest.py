# SPDX-License-Identifier: Apache-2.0
"""Decides which tests of this folder run where, and when.

The tests of guest/ need the module, so they run only in a guest. test_guest.py reports their results.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

collect_ignore = [] if os.environ.get("TTFWD_GUEST") else ["guest"]


@pytest.fixture(scope="session")
def builds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of built modules. All processes of a run have the same."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if os.environ.get("PYTEST_XDIST_WORKER") else own


def _reports_a_guest(item: pytest.Item) -> bool:
    return item.path.name == "test_guest.py"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the reports first: they take the longest, and other processes of pytest-xdist run other tests."""
    items.sort(key=_reports_a_guest, reverse=True)

# SPDX-License-Identifier: Apache-2.0
"""Which tests of this folder run where, and the guests, which run when all other tests have.

The tests of guest/ need the module, and so run in a guest alone. test_guest.py reports what ran there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.kmod.guests import Started, start_all

collect_ignore = [] if os.environ.get("TTFWD_GUEST") else ["guest"]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs the guests comes last: beside them, anything that waits for something may wait too long."""
    items.sort(key=lambda item: item.path.name == "test_guest.py")


@pytest.fixture(scope="session")
def guests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Started]]:
    """By their kernels' series, started together."""
    with ExitStack() as stack:
        yield start_all(tmp_path_factory.mktemp, stack)

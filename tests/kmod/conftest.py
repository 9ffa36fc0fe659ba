# SPDX-License-Identifier: Apache-2.0
"""Which tests of this folder run where, and the guests, which run beside all other tests.

The tests of guest/ need the module, and so run in a guest alone. test_guest.py reports what ran there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.kmod.guests import Started, start_all

collect_ignore = [] if os.environ.get("TTFWD_GUEST") else ["guest"]


def _waits_for_guests(item: pytest.Item) -> bool:
    return item.path.name == "test_guest.py"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What waits for the guests comes last, as they take longest."""
    items.sort(key=_waits_for_guests)


@pytest.fixture(scope="session", autouse=True)
def guests(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Started]]:
    """Started with the first test of this folder, if any test will ask for them; by their kernels' series."""
    with ExitStack() as stack:
        wanted = any(map(_waits_for_guests, request.session.items))
        yield start_all(tmp_path_factory.mktemp, stack) if wanted else {}

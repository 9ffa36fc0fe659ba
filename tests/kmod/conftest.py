# SPDX-License-Identifier: Apache-2.0
"""Decides which tests of this folder run where, and runs the guests beside all other tests.

The tests of guest/ need the module, so they run only in a guest. test_guest.py reports their results.
"""

from __future__ import annotations

import os

import pytest

from tests.kmod.guests import Guests

collect_ignore = [] if os.environ.get("TTFWD_GUEST") else ["guest"]

_GUESTS = pytest.StashKey[Guests]()


def _reports_a_guest(item: pytest.Item) -> bool:
    return item.path.name == "test_guest.py"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the reports last. Until then, the guests run beside other tests."""
    items.sort(key=_reports_a_guest)


def pytest_runtestloop(session: pytest.Session) -> None:
    """The guests start with the first test if a report is selected. They never outlive the last test."""
    config = session.config
    if any(map(_reports_a_guest, session.items)) and not config.option.collectonly:
        config.stash[_GUESTS] = Guests()
        config.add_cleanup(config.stash[_GUESTS].end)


@pytest.fixture(scope="session")
def guests(pytestconfig: pytest.Config) -> Guests:
    return pytestconfig.stash[_GUESTS]

# SPDX-License-Identifier: Apache-2.0
"""Which tests of this folder run where, and the guests, which run beside all other tests.

The tests of guest/ need the module, and so run in a guest alone. test_guest.py reports what ran there.
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
    """The reports come last: until then, the guests run beside other tests."""
    items.sort(key=_reports_a_guest)


def pytest_runtestloop(session: pytest.Session) -> None:
    """The guests start with the first test, if there is to be a report, and never outlive the last one."""
    config = session.config
    if any(map(_reports_a_guest, session.items)) and not config.option.collectonly:
        config.stash[_GUESTS] = Guests()
        config.add_cleanup(config.stash[_GUESTS].end)


@pytest.fixture(scope="session")
def guests(pytestconfig: pytest.Config) -> Guests:
    return pytestconfig.stash[_GUESTS]

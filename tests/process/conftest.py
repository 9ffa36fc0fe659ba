# SPDX-License-Identifier: Apache-2.0
"""Requirements of the tests of whole processes: root, network namespaces, taps, and two quiet namespaces."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.process.topology import Pair
from tests.support.capabilities import require_root, require_tun
from tests.support.drivers import port_keys
from tests.support.netns import namespace

Recorder = Callable[[str, object], None]


@pytest.fixture
def record(record_property: Callable[[str, object], None]) -> Recorder:
    """Record a measured figure of this test in the JUnit report. It isn't asserted."""

    def put(name: str, value: object) -> None:
        record_property(name, value)
        print(f"{name} = {value}")

    return put


@pytest.fixture(scope="session", autouse=True)
def _machine() -> None:
    require_root()
    require_tun()


@pytest.fixture
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    """Between taps, or ports of the driver that a test names: parametrize("pair", ..., indirect=["pair"])."""
    driver: str = getattr(request, "param", "tap")
    port_keys(driver)  # the machine may lack the driver
    with namespace() as left, namespace() as right:
        yield Pair(left, right, driver)

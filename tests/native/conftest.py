# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the native tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.native.far import Far
from tests.native.harness import Harness
from tests.support.capabilities import require_root

MakeHarness = Callable[..., Harness]


@pytest.fixture
def harness() -> Iterator[MakeHarness]:
    """Makes instances. The end of the test asserts that each frame and packet of theirs is accounted for."""
    made: list[Harness] = []

    def make(workers: int = 1, **settings: object) -> Harness:
        made.append(Harness(workers, **settings))  # type: ignore[arg-type]
        return made[-1]

    yield make
    try:
        for each in made:
            each.check()
    finally:
        for each in made:
            each.close()


@pytest.fixture
def far() -> Iterator[Far]:
    require_root()
    with Far.made() as far:
        yield far

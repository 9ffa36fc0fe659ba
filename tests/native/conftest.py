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
    """Make instances; at the end of the test no frame and no packet of theirs is unaccounted for."""
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

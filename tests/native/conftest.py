# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the native tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.native.far import Far
from tests.native.harness import Instance
from tests.support.capabilities import require_root

MakeInstance = Callable[..., Instance]


@pytest.fixture
def instance() -> Iterator[MakeInstance]:
    """Makes instances. The end of the test asserts that each frame and packet of theirs is accounted for."""
    made: list[Instance] = []

    def make(workers: int = 1, **settings: object) -> Instance:
        made.append(Instance(workers, **settings))  # type: ignore[arg-type]
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

# SPDX-License-Identifier: Apache-2.0
"""A burst of deaths finds a standby each. In calm times one process waits, no more."""

from __future__ import annotations

import errno
from typing import Any, cast

import pytest

from forwarder.supervisor.standbys import MEMORY_NS, MOST, RETRY_NS, Standbys
from forwarder.supervisor.worker_process import WorkerProcess

NOW_NS = 5_000_000_000_000


class FakeProcess:
    def __init__(self) -> None:
        self.code: int | None = None
        self.closed = False

    def exit_code(self) -> int | None:
        return self.code

    def kill(self) -> None:
        self.code = -9

    def close(self) -> None:
        assert self.code is not None, "closed while it lives"
        self.closed = True


@pytest.fixture
def made() -> list[FakeProcess]:
    """Every process that was started."""
    return []


def standbys_of(workers: int, made: list[FakeProcess]) -> Standbys:
    def start() -> WorkerProcess:
        made.append(FakeProcess())
        return cast(WorkerProcess, made[-1])

    return Standbys(workers, start)


def keep(standbys: Standbys, now_ns: int) -> int:
    """As many standbys as there are after a while without any death."""
    for _ in range(20):
        standbys.keep(now_ns)
    return len(standbys)


def test_one_in_calm_times_and_as_many_as_died_lately(made: list[FakeProcess]) -> None:
    standbys = standbys_of(16, made)
    assert keep(standbys, NOW_NS) == 1
    for deaths, wanted in ((1, 1), (2, 2), (3, 3), (4, 4), (5, MOST), (300, MOST)):
        standbys.worker_died(NOW_NS)
        assert keep(standbys, NOW_NS) == wanted, deaths
    assert keep(standbys, NOW_NS + MEMORY_NS) == MOST
    assert keep(standbys, NOW_NS + MEMORY_NS + 1) == 1
    assert [process.closed for process in made].count(False) == 1
    standbys.close()
    assert all(process.closed for process in made)


def test_never_more_than_there_are_workers(made: list[FakeProcess]) -> None:
    standbys = standbys_of(2, made)
    for _ in range(10):
        standbys.worker_died(NOW_NS)
    assert keep(standbys, NOW_NS) == 2
    assert len(made) == 2


def test_the_dead_are_not_handed_out(made: list[FakeProcess]) -> None:
    standbys = standbys_of(4, made)
    standbys.worker_died(NOW_NS)
    standbys.worker_died(NOW_NS)
    keep(standbys, NOW_NS)
    made[0].code = -9
    taken: Any = standbys.take()
    assert taken is made[1]
    assert made[0].closed
    fresh: Any = standbys.take()  # none is left: a new process
    assert fresh is made[2]


def test_a_standby_that_dies_by_itself_is_replaced_after_a_while(made: list[FakeProcess]) -> None:
    standbys = standbys_of(4, made)
    keep(standbys, NOW_NS)
    made[0].code = 1
    assert keep(standbys, NOW_NS) == 0
    assert made[0].closed
    assert keep(standbys, NOW_NS + RETRY_NS) == 1


def test_no_process_to_spare_is_no_error() -> None:
    tries = []

    def refused() -> WorkerProcess:
        tries.append(1)
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    standbys = Standbys(4, refused)
    assert keep(standbys, NOW_NS) == 0
    assert keep(standbys, NOW_NS + RETRY_NS) == 0
    assert len(tries) == 2
    with pytest.raises(OSError, match="Resource temporarily"):
        standbys.take()

# SPDX-License-Identifier: Apache-2.0
"""The module, and ttfwd with it, on the supported kernels.

A guest (guests.py) runs in_guest.sh: on each kernel the module's own tests (tests/kmod/guest), and on the
newer one ttfwd's tests over turbotap that aren't extended ones. The tests here run first (conftest.py): while
they wait for the guests, other tests run in another process. A test that was skipped in a guest counts as
failed: the guest has every capability.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kmod.guests import ALL, OF_THE_MODULE, Guest, Guests

pytestmark = pytest.mark.timeout(3000)


@pytest.fixture(scope="module")
def guests(builds: Path) -> Iterator[Guests]:
    running = Guests(builds)
    yield running
    running.end()


@pytest.mark.parametrize("guest", ALL, ids=lambda guest: guest.name)
def test_what_runs_there(guest: Guest, guests: Guests) -> None:
    ran = guests.wait(guest)
    if ran.result.boots > 1:
        warnings.warn(f"{guest.name} failed in its own boot and was booted once more", stacklevel=1)
    failures = ran.failures(guest)
    assert not failures, f"{len(failures)} failed\n" + "\n".join(failures)


@pytest.mark.parametrize("guest", OF_THE_MODULE, ids=lambda guest: guest.name)
def test_group_may_open_the_node_by_the_udev_rule(guest: Guest, guests: Guests) -> None:
    assert (guests.wait(guest).results / "udev").read_text() == "character special file turbotap 660\n"


@pytest.mark.parametrize("guest", ALL, ids=lambda guest: guest.name)
def test_kernel_logged_no_fault_and_the_module_went(guest: Guest, guests: Guests) -> None:
    guests.wait(guest).result.check()

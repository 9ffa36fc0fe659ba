# SPDX-License-Identifier: Apache-2.0
"""The module, and ttfwd with it, on the supported kernels.

A guest (guests.py) runs in_guest.sh: on each kernel the module's own tests (tests/kmod/guest), and on the
newer one ttfwd's tests that use turbotap. The tests here run last (conftest.py) and check the guests'
results. A test that was skipped in a guest counts as failed: the guest has every capability.
"""

from __future__ import annotations

import warnings
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable

import pytest

from tests.kmod.guests import ALL, OF_THE_MODULE, Guest, Guests, Ran

# The first of them waits for a guest that may have got little time so far.
pytestmark = pytest.mark.timeout(3000)


def _failures(ran: Ran, report: str, record: Callable[[str, object], None]) -> list[str]:
    """The failures of a JUnit report, with reasons. Records the number of its tests in our report."""
    path = ran.results / report
    assert path.is_file(), f"no {report}\n{ran.result.output}\n{ran.result.log[-4000:]}"
    cases = ElementTree.parse(path).getroot().findall(".//testcase")
    assert cases, f"no test ran\n{ran.result.output}"
    record(f"{report} tests", len(cases))
    told = []
    for case in cases:
        for verdict in (child for child in case if child.tag in ("failure", "error", "skipped")):
            name = f"{case.get('classname')}::{case.get('name')}"
            told.append(f"{name}: {verdict.tag}: {verdict.get('message')}\n{verdict.text or ''}")
    return told


@pytest.mark.parametrize("guest", ALL, ids=lambda guest: guest.name)
def test_what_runs_there(
    guest: Guest, guests: Guests, record_testsuite_property: Callable[[str, object], None]
) -> None:
    ran = guests.wait(guest)
    if ran.result.boots > 1:
        warnings.warn(f"{guest.name} panicked in its own boot and was booted once more", stacklevel=1)
    failures = _failures(ran, f"{guest.tests}.xml", record_testsuite_property)
    assert not failures, f"{len(failures)} failed\n" + "\n".join(failures)


@pytest.mark.parametrize("guest", OF_THE_MODULE, ids=lambda guest: guest.name)
def test_group_may_open_the_node_by_the_udev_rule(guest: Guest, guests: Guests) -> None:
    assert (guests.wait(guest).results / "udev").read_text() == "character special file turbotap 660\n"


@pytest.mark.parametrize("guest", ALL, ids=lambda guest: guest.name)
def test_kernel_logged_no_fault_and_the_module_went(guest: Guest, guests: Guests) -> None:
    guests.wait(guest).result.check()

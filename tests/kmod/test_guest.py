# SPDX-License-Identifier: Apache-2.0
"""The module, and ttfwd with it, on the kernels that they are promised for.

Each kernel is booted once, both at the same time, and runs in_guest.sh: the module's own tests
(tests/kmod/guest) and on the newer one ttfwd's tests that use turbotap. The tests here are the last ones of
all (conftest.py), and about what came back. A test that was skipped in a guest counts as
failed: nothing that it could miss is missing there.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.kmod import vm
from tests.kmod.guests import WITH_TTFWD, Started
from tests.kmod.kernels import SERIES

# The first of them waits for a guest to be built, booted and run, beside another one.
pytestmark = pytest.mark.timeout(3000)

_TIMEOUT_S = 2700


class Guest:
    """What a guest printed and logged, and the files that it left."""

    def __init__(self, results: Path, result: vm.Result) -> None:
        self.results = results
        self.result = result

    def failures(self, report: str, record: Callable[[str, object], None]) -> list[str]:
        """What didn't pass of the tests in a JUnit report, with why; how many ran is recorded in ours."""
        path = self.results / report
        assert path.is_file(), f"no {report}\n{self.result.output}\n{self.result.log[-4000:]}"
        cases = ElementTree.parse(path).getroot().findall(".//testcase")
        assert cases, f"no test ran\n{self.result.output}"
        record(f"{report} tests", len(cases))
        told = []
        for case in cases:
            for verdict in (child for child in case if child.tag in ("failure", "error", "skipped")):
                name = f"{case.get('classname')}::{case.get('name')}"
                told.append(f"{name}: {verdict.tag}: {verdict.get('message')}\n{verdict.text or ''}")
        return told


@pytest.fixture(params=SERIES)
def guest(request: pytest.FixtureRequest, guests: dict[str, Started]) -> Guest:
    started = guests[request.param]
    return Guest(started.results, started.running.wait(_TIMEOUT_S))


def test_module(guest: Guest, record_testsuite_property: Callable[[str, object], None]) -> None:
    failures = guest.failures("module.xml", record_testsuite_property)
    assert not failures, f"{len(failures)} failed\n" + "\n".join(failures)


@pytest.mark.parametrize("guest", [WITH_TTFWD], indirect=True)
def test_ttfwd(guest: Guest, record_testsuite_property: Callable[[str, object], None]) -> None:
    failures = guest.failures("ttfwd.xml", record_testsuite_property)
    assert not failures, f"{len(failures)} failed\n" + "\n".join(failures)


def test_group_may_open_the_node_by_the_udev_rule(guest: Guest) -> None:
    assert (guest.results / "udev").read_text() == "character special file turbotap 660\n"


def test_kernel_logged_no_fault_and_the_module_went(guest: Guest) -> None:
    guest.result.check()

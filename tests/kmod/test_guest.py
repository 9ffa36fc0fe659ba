# SPDX-License-Identifier: Apache-2.0
"""The module, and ttfwd with it, on the kernels that they are promised for.

Each kernel is booted once, both at the same time, and runs in_guest.sh: the module's own tests
(tests/kmod/guest) and on the newer one ttfwd's tests that use turbotap. The tests here are about what came
back. A test that was skipped in a guest counts as failed: nothing that it could miss is missing there.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.kmod import vm
from tests.kmod.kernels import ROOT, SERIES, build, of_series

# The first of them waits for a guest to be built, booted and run, beside another one.
pytestmark = pytest.mark.timeout(3000)

_TIMEOUT_S = 2700
_WITH_TTFWD = SERIES[-1]


class Guest:
    """What a guest printed and logged, and the files that it left."""

    def __init__(self, series: str, programs: Path, folder: Path) -> None:
        kernel = of_series(series)
        self.results = folder / "results"
        self.results.mkdir()
        environment = {
            "MODULE": str(build(kernel, folder)),
            "PROGRAMS": str(programs),
            "PYTHON": sys.executable,
            "RESULTS": str(self.results),
            "SUITE": "yes" if series == _WITH_TTFWD else "no",
        }
        script = [
            "env",
            *(f"{name}={value}" for name, value in environment.items()),
            "sh",
            "tests/kmod/in_guest.sh",
        ]
        self.result = vm.run(kernel, shlex.join(script), writable=self.results, timeout=_TIMEOUT_S)

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


@pytest.fixture(scope="module")
def guests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[Guest]]]:
    programs = tmp_path_factory.mktemp("programs")
    command = ["make", "-C", str(ROOT / "tests" / "kmod" / "guest"), f"OUT={programs}"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout
    with ThreadPoolExecutor(len(SERIES)) as pool:
        yield {
            series: pool.submit(Guest, series, programs, tmp_path_factory.mktemp(series)) for series in SERIES
        }


@pytest.fixture(params=SERIES)
def guest(request: pytest.FixtureRequest, guests: dict[str, Future[Guest]]) -> Guest:
    return guests[request.param].result()


def test_module(guest: Guest, record_testsuite_property: Callable[[str, object], None]) -> None:
    failures = guest.failures("module.xml", record_testsuite_property)
    assert not failures, f"{len(failures)} failed\n" + "\n".join(failures)


@pytest.mark.parametrize("guest", [_WITH_TTFWD], indirect=True)
def test_ttfwd(guest: Guest, record_testsuite_property: Callable[[str, object], None]) -> None:
    failures = guest.failures("ttfwd.xml", record_testsuite_property)
    assert not failures, f"{len(failures)} failed\n" + "\n".join(failures)


def test_group_may_open_the_node_by_the_udev_rule(guest: Guest) -> None:
    assert (guest.results / "udev").read_text() == "character special file turbotap 660\n"


def test_kernel_logged_no_fault_and_the_module_went(guest: Guest) -> None:
    guest.result.check()

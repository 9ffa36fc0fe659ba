# SPDX-License-Identifier: Apache-2.0
"""The lists of drivers agree, and no other module names a driver."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from forwarder import drivers
from forwarder.config.model import PortConfig
from forwarder.devices.choice import PORTS
from forwarder.native import lib
from tests.support.drivers import PLAIN, TURBOTAP, URING

FORWARDER = Path(drivers.__file__).parent
NAMES = get_args(drivers.Name)
IOS = get_args(drivers.Io)
# The name of a driver's module is or begins with the driver's name.
OWN_MODULES = {
    "drivers.py",
    "devices/choice.py",
    *(str(path.relative_to(FORWARDER)) for name in NAMES for path in FORWARDER.glob(f"devices/{name}*.py")),
}
# To the instrument, "packet" and "burst" are words of a measurement.
MEASURING = ("bench/", "cli/bench", "host/", "report/", "results/", "tester/")
CONSTANTS = {name for name, value in vars(drivers).items() if isinstance(value, drivers.Driver)}


def test_the_lists_have_the_same_drivers() -> None:
    assert tuple(dict.fromkeys(driver.name for driver in drivers.DRIVERS)) == NAMES == tuple(PORTS)
    assert {vars(drivers)[name] for name in CONSTANTS} == set(drivers.DRIVERS)
    assert {driver.io_name for driver in drivers.DRIVERS if driver.io_name} == set(IOS)


def test_each_driver_has_its_number_in_c() -> None:
    numbers = [getattr(lib, name) for name in dir(lib) if name.startswith("TTF_DRIVER_")]
    assert sorted(driver.number for driver in drivers.DRIVERS) == sorted(numbers)


def test_drivers_of_one_name_differ_in_what_their_io_is_alone() -> None:
    for driver in drivers.DRIVERS:
        same = drivers.named(driver.name)
        assert same is not None
        facts = ("makes_device", "dropped_before", "dropped_after", "reports_recovery")
        assert [getattr(driver, fact) for fact in facts] == [getattr(same, fact) for fact in facts]


def test_a_name_that_is_no_driver_has_no_facts() -> None:
    assert drivers.named("auto") is None
    assert drivers.named("") is None


def test_auto_is_any_driver_that_makes_its_device() -> None:
    assert {driver.name for driver in drivers.choices(drivers.AUTO)} == set(NAMES) - {"packet"}
    assert PortConfig(name="p0").makes_device
    assert not PortConfig(name="p0", driver="packet").makes_device


def test_every_driver_has_tests() -> None:
    assert {str(driver).replace("/", "-") for driver in drivers.DRIVERS} == {*PLAIN, *TURBOTAP, *URING}


@pytest.mark.slow
def test_a_driver_is_known_by_name_in_its_own_modules_alone() -> None:
    found = [
        f"{path}:{line}: {what}"
        for path in sorted(FORWARDER.rglob("*.py"))
        if str(path.relative_to(FORWARDER)) not in OWN_MODULES
        and not str(path.relative_to(FORWARDER)).startswith(MEASURING)
        for line, what in _driver_names(path.read_text())
    ]
    assert found == []


def test_that_check_finds_what_it_is_for() -> None:
    assert list(_driver_names('if driver == "packet": ...')) == [(1, "packet")]
    assert list(_driver_names('match io:\n    case "burst": ...')) == [(2, "burst")]
    assert list(_driver_names("x = drivers.PACKET")) == [(1, "PACKET")]
    assert list(_driver_names("from forwarder.drivers import TAP as T")) == [(1, "TAP")]
    assert list(_driver_names("number == lib.TTF_DRIVER_URING")) == [(1, "TTF_DRIVER_URING")]
    assert list(_driver_names('"""A packet on a tap."""\ndriver.name')) == []


def _driver_names(source: str) -> Iterator[tuple[int, str]]:
    """Lines with a string that is a driver's name or io, or with a name that stands for one driver."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Constant(value=str(text)) if text in {*NAMES, *IOS}:
                yield node.lineno, text
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.alias(name=name):
                if name in CONSTANTS or name.startswith("TTF_DRIVER_"):
                    yield node.lineno, name

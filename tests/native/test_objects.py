# SPDX-License-Identifier: Apache-2.0
"""The objects of native/: their symbols have the project's prefixes, and no two need each other."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.native.programs import CFLAGS, DATAPATH, NATIVE, compiler, environment
from tests.support.capabilities import missing


@dataclass(frozen=True)
class Object:
    """The external symbols of one compiled file of native/."""

    defined: frozenset[str]
    used: frozenset[str]


def _symbols(path: Path, which: str) -> frozenset[str]:
    nm = shutil.which("nm") or missing("nm")
    command: list[str | Path] = [nm, "--format=just-symbols", "--extern-only", which, path]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=True)
    return frozenset(done.stdout.split())


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Object]:
    into = tmp_path_factory.mktemp("objects")
    sources = [NATIVE / name for name in DATAPATH]
    command: list[str | Path] = [compiler(), *CFLAGS, f"-I{NATIVE}", "-c", *sources]
    done = subprocess.run(command, cwd=into, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return {
        path.stem: Object(_symbols(path, "--defined-only"), _symbols(path, "--undefined-only"))
        for path in sorted(into.glob("*.o"))
    }


def test_no_object_needs_one_that_needs_it(objects: dict[str, Object]) -> None:
    home = {symbol: name for name, each in objects.items() for symbol in each.defined}
    needs = {name: {home[symbol] for symbol in each.used if symbol in home} for name, each in objects.items()}
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        pytest.fail("circular dependency: " + " <- ".join(error.args[1]))


def test_every_external_symbol_has_the_prefix(objects: dict[str, Object]) -> None:
    bare = {
        f"{name}.c: {symbol}"
        for name, each in objects.items()
        for symbol in each.defined
        if not symbol.startswith("ttf_")
    }
    assert not bare, sorted(bare)

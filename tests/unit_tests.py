# SPDX-License-Identifier: Apache-2.0
"""python -m tests.unit_tests FOLDER: the unit tests of `make check`, in two processes that share imports.

The imports take a process of tests a third of its time. So one process does them, and is forked then.
FOLDER holds the files that the tests make. Exit status 1 if a test failed.
"""

from __future__ import annotations

import gc
import importlib
import os
import pkgutil
import sys
from pathlib import Path

import pytest

import forwarder

_ARGUMENTS = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-m", "not slow"]
_ARGUMENTS += ["--hypothesis-profile=few-examples"]
# pytest would say that it can't rewrite the assertions of packages that are imported already.
_ARGUMENTS += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
# While it's imported, MLRsearch looks through every module that was imported before: first, that is quick.
_FIRST_IMPORT = "MLRsearch"
_OTHER_IMPORTS = ("hypothesis.strategies", "scapy.layers.inet6")


def _import() -> None:
    """Import what the tests will: all of ttfwd, with the packages that it uses, and the packages of tests."""
    importlib.import_module(_FIRST_IMPORT)
    for module in pkgutil.walk_packages(forwarder.__path__, "forwarder."):
        importlib.import_module(module.name)
    for name in _OTHER_IMPORTS:
        importlib.import_module(name)
    gc.disable()  # a tenth of the time goes to looking for garbage among what was imported


def _halves() -> tuple[list[Path], list[Path]]:
    """The files with tests, in two parts of about equal length."""
    parts: tuple[list[Path], list[Path]] = ([], [])
    lengths = [0, 0]
    files = Path(__file__).with_name("unit").glob("test_*.py")
    for length, file in sorted(((file.stat().st_size, file) for file in files), reverse=True):
        shorter = lengths.index(min(lengths))
        parts[shorter].append(file)
        lengths[shorter] += length
    return parts


def _fork(files: list[Path], folder: Path) -> int:
    """Start a process that runs the tests of these files: its number. Its output goes to FOLDER.txt."""
    process = os.fork()
    if not process:
        output = folder.with_suffix(".txt").open("wb")
        for standard in (sys.stdout, sys.stderr):
            os.dup2(output.fileno(), standard.fileno())
        os._exit(pytest.main([*_ARGUMENTS, f"--basetemp={folder}", *map(str, sorted(files))]))
    return process


def main(folder: Path) -> int:
    _import()
    processes = {folder / str(i): _fork(files, folder / str(i)) for i, files in enumerate(_halves())}
    failed = [part for part, process in processes.items() if os.waitpid(process, 0)[1]]
    for part in failed:
        print(part.with_suffix(".txt").read_text(errors="replace"))
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))

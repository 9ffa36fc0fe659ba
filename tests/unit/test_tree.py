# SPDX-License-Identifier: Apache-2.0
"""The tree itself: every file states its licence, and setup.py holds only what pyproject.toml can't."""

from __future__ import annotations

import ast
import re
import subprocess
from functools import cache
from pathlib import Path, PurePath

import pytest

from tests.support.capabilities import missing

ROOT = Path(__file__).resolve().parents[2]

LICENCE_TEXTS = {"LICENSE", "COPYING"}
NO_COMMENTS = {".json", ".pcap", ".png", ".svg"}
SPDX = re.compile(r"SPDX-License-Identifier: (.+?)(?: \*/| -->)?$", re.MULTILINE)


@cache
def tracked() -> tuple[PurePath, ...]:
    """Existing files that git tracks, relative to the root."""
    # safe.directory: the checkout may belong to another user than the tests' user.
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z"]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        missing("a git checkout")
    return tuple(PurePath(name) for name in listed.split("\0") if name and (ROOT / name).is_file())


def test_every_file_states_its_licence() -> None:
    wrong = {}
    for path in tracked():
        if path.name in LICENCE_TEXTS or path.suffix in NO_COMMENTS:
            continue
        text = (ROOT / path).read_text(encoding="utf-8", errors="replace")
        if not text:
            continue
        found = SPDX.search("\n".join(text.splitlines()[:5]))
        licence = found.group(1) if found else None
        if path.parts[0] == "kmod":
            # A header that programs include carries the exception for system calls, as the kernel's do.
            allowed = {"GPL-2.0", "GPL-2.0 WITH Linux-syscall-note"}
        else:
            allowed = {"Apache-2.0"}
        if licence not in allowed:
            wrong[str(path)] = licence
    assert wrong == {}


@pytest.mark.parametrize(
    ("path", "title"),
    [("LICENSE", "Apache License"), ("kmod/LICENSE", "GNU GENERAL PUBLIC LICENSE")],
)
def test_licence_text_is_there(path: str, title: str) -> None:
    assert title in (ROOT / path).read_text(encoding="utf-8")


def test_setup_py_says_nothing_that_pyproject_toml_could() -> None:
    tree = ast.parse((ROOT / "setup.py").read_text(encoding="utf-8"))
    (call,) = (
        node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "setup"
    )
    assert [keyword.arg for keyword in call.keywords] == ["cffi_modules", "cmdclass"]


def test_one_module_alone_imports_the_extension() -> None:
    importers = {
        str(path)
        for path in tracked()
        if path.suffix == ".py"
        and path.parts[0] == "forwarder"
        and re.search(
            r"^\s*(from|import) .*\b_native\b", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE
        )
    }
    assert importers == {"forwarder/native.py"}


def test_packages_are_named_and_nothing_more() -> None:
    """Code in an __init__ would run with every import of the package: a worker's start would pay for it."""
    filled = [path for path in tracked() if path.name == "__init__.py" and path.parts[0] == "forwarder"]
    assert filled
    assert [str(path) for path in filled if (ROOT / path).stat().st_size] == []

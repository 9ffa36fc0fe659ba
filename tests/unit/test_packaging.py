# SPDX-License-Identifier: Apache-2.0
"""The packages are complete: an sdist builds anywhere, and the wheel built from it runs."""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from forwarder.cli.commands import main
from tests.support.capabilities import missing, require_tester

ROOT = Path(__file__).resolve().parents[2]

# Two builds, each with a compiler run.
pytestmark = pytest.mark.slow


def run(*command: str | Path, cwd: Path, **extra_env: str) -> str:
    """Run a command without the variables that change a build, and return its output."""
    env = {key: value for key, value in os.environ.items() if key not in ("TTFWD_SANITIZE", "LD_PRELOAD")}
    env |= {"PYTHONDONTWRITEBYTECODE": "1"}  # a build's own bytecode is no source
    done = subprocess.run(
        command, cwd=cwd, env=env | extra_env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the files that git tracks or would add, so no leftover of a build takes part."""
    git = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(git, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        missing("a git checkout")
    copy = tmp_path_factory.mktemp("source")
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).write_bytes((ROOT / name).read_bytes())
    return copy


@pytest.fixture(scope="module")
def sdist(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist, unpacked."""
    out = tmp_path_factory.mktemp("sdist")
    run(sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", out, source, cwd=out)
    (archive,) = out.glob("*.tar.gz")
    shutil.unpack_archive(archive, out)
    (unpacked,) = (path for path in out.iterdir() if path.is_dir())
    return unpacked


@pytest.fixture(scope="module")
def installed(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the wheel built from the sdist, unpacked."""
    out = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, sdist, cwd=out)
    (wheel,) = out.glob("*.whl")
    shutil.unpack_archive(wheel, out / "site", "zip")
    return out / "site"


@pytest.mark.parametrize("folder", ["native", "kmod", "configs", "docs", "deploy", "tests"])
def test_sdist_holds_every_source(source: Path, sdist: Path, folder: str) -> None:
    def files(root: Path) -> set[str]:
        return {str(path.relative_to(root)) for path in (root / folder).rglob("*") if path.is_file()}

    assert files(source) - files(sdist) == set()


def test_sdist_holds_the_build(sdist: Path) -> None:
    wanted = ("LICENSE", "README.md", "Makefile", "pyproject.toml", "setup.py", "tox.ini", "native/abi.h")
    assert [name for name in wanted if not (sdist / name).is_file()] == []


@pytest.mark.parametrize("name", ["_native", "_tester"])
def test_wheel_from_sdist_imports_its_extension(installed: Path, name: str) -> None:
    if name == "_tester":
        require_tester()
    # -P, and a search path that begins with the wheel: neither the tree nor tox's installation is used.
    program = f"import forwarder.{name} as native; print(native.__file__); native.ffi, native.lib"
    where = run(sys.executable, "-P", "-c", program, cwd=installed.parent, PYTHONPATH=str(installed))
    assert Path(where.strip()).is_relative_to(installed)


def test_wheel_holds_the_package_and_nothing_else(installed: Path, source: Path) -> None:
    top = {path.name for path in installed.iterdir() if path.suffix != ".dist-info"}
    assert top == {"forwarder"}
    modules = {str(path.relative_to(source)) for path in (source / "forwarder").rglob("*.py")}
    assert {str(path.relative_to(installed)) for path in installed.rglob("*.py")} == modules
    typing = ("forwarder/py.typed", "forwarder/_native.pyi", "forwarder/_tester.pyi")
    data = ("forwarder/report/page.css", "forwarder/built_from.txt")
    assert [name for name in (*typing, *data) if not (installed / name).is_file()] == []


def test_what_it_was_built_from_is_handed_on(sdist: Path, installed: Path) -> None:
    """A copy of the tree has no git. What the sdist says stays, so that its wheel says the same."""
    said = [(root / "forwarder" / "built_from.txt").read_text() for root in (sdist, installed)]
    assert said == ["a source tree without git\n"] * 2


def test_wheel_offers_the_command(installed: Path) -> None:
    (entry_points,) = installed.glob("*.dist-info/entry_points.txt")
    parsed = configparser.ConfigParser()
    parsed.read(entry_points)
    assert dict(parsed["console_scripts"]) == {"ttfwd": "forwarder.__main__:main"}


def _commands(command: click.Command) -> Iterator[click.Command]:
    yield command
    for each in command.commands.values() if isinstance(command, click.Group) else ():
        yield from _commands(each)


def test_no_help_text_is_a_macro_of_a_man_page() -> None:
    """In man pages, lines that begin with a dot or an apostrophe are instructions to the typesetter."""
    texts = [text for command in _commands(main) for text in (command.help or "").splitlines()]
    texts += [
        option.help or ""
        for command in _commands(main)
        for option in command.params
        if isinstance(option, click.Option)
    ]
    assert len(texts) > 100
    assert not [text for text in texts if text.lstrip().startswith((".", "'"))]

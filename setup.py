# SPDX-License-Identifier: Apache-2.0
"""Builds the extensions, and writes what the build was made from; everything else is in pyproject.toml."""

import subprocess
import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

sys.path.insert(0, str(Path(__file__).resolve().parent))
from native import build_tester
from native.build_objects import BuildObjects

BUILT_FROM = Path("forwarder", "built_from.txt")  # in a source distribution and in what is installed


def built_from() -> str:
    """The source of this build in words: a commit, if git knows."""
    if BUILT_FROM.exists():
        return BUILT_FROM.read_text()
    git = ["git", "-c", "safe.directory=*", "describe", "--always", "--abbrev=12", "--dirty=, changed"]
    try:
        return f"commit {subprocess.run(git, capture_output=True, text=True, check=True).stdout}"
    except (OSError, subprocess.CalledProcessError):
        return "a source tree without git\n"


class Sdist(sdist):
    """sdist, with built_from.txt in the archive."""

    def make_release_tree(self, base_dir: str, files: list[str]) -> None:
        text = built_from()
        super().make_release_tree(base_dir, files)
        (Path(base_dir) / BUILT_FROM).write_text(text)


class BuildPy(build_py):
    """build_py, with built_from.txt beside the modules. A source tree that is used in place has none."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            (Path(self.build_lib) / BUILT_FROM).write_text(built_from())


setup(
    cffi_modules=["native/build_ffi.py:ffibuilder", *build_tester.modules()],
    cmdclass={"build_ext": BuildObjects, "build_py": BuildPy, "sdist": Sdist},
)

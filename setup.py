# SPDX-License-Identifier: Apache-2.0
"""Builds the extensions; everything else is in pyproject.toml."""

import sys
from pathlib import Path

from setuptools import setup

sys.path.insert(0, str(Path(__file__).resolve().parent))
from native import build_tester
from native.build_objects import BuildObjects

setup(
    cffi_modules=["native/build_ffi.py:ffibuilder", *build_tester.modules()],
    cmdclass={"build_ext": BuildObjects},
)

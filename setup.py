# SPDX-License-Identifier: Apache-2.0
"""Builds the extension; everything else is in pyproject.toml."""

import sys
from pathlib import Path

from setuptools import setup

sys.path.insert(0, str(Path(__file__).resolve().parent))
from native.build_objects import BuildObjects

setup(cffi_modules=["native/build_ffi.py:ffibuilder"], cmdclass={"build_ext": BuildObjects})

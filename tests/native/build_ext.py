# SPDX-License-Identifier: Apache-2.0
"""Builds _ttfwd_test: the datapath compiled like the product's, with all declarations that tests need.

Run it in the root of the tree, which must be on Python's path: `python tests/native/build_ext.py FOLDER`. It
reuses the objects of the product's extension if that was built here with the same options.
"""

from __future__ import annotations

import sys

from cffi import FFI
from setuptools import Distribution

from native.build_ffi import HEADERS, declarations, extension
from native.build_objects import BuildObjects

ALL_HEADERS = (
    *HEADERS,
    "pool.h",
    "ring.h",
    "ethernet.h",
    "flow_hash.h",
    "driver.h",
    "vnet_hdr.h",
    "gso.h",
    "packet_big.h",
    "tester/stamp.h",
    "tester/frame.h",
    "tester/histogram.h",
)


def ffibuilder() -> FFI:
    return extension("_ttfwd_test", ALL_HEADERS, declarations(ALL_HEADERS))


def main(folder: str) -> None:
    modules = ["tests/native/build_ext.py:ffibuilder"]
    distribution = Distribution({"cffi_modules": modules, "cmdclass": {"build_ext": BuildObjects}})
    distribution.finalize_options()
    build = distribution.get_command_obj("build_ext")
    build.build_lib = folder
    build.ensure_finalized()
    build.run()


if __name__ == "__main__":
    main(sys.argv[1])

# SPDX-License-Identifier: Apache-2.0
"""Builds _ttfwd_test: the datapath compiled like the product's, with all declarations that tests need.

The calls of a crossing's member are the test's own (tests/native/crossing_module.py).

Run it in the root of the tree, which must be on Python's path: `python tests/native/build_ext.py FOLDER`. It
reuses the objects of the product's extension if that was built here with the same options.
"""

from __future__ import annotations

import sys

from cffi import FFI
from setuptools import Distribution

from native.build_ffi import HEADERS, declarations, extension, sources
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


CALLS = "native/crossing_calls.c"
FAKE_CALLS = """
extern "Python+C" int fake_cross(int member);
extern "Python+C" int fake_copy_out(int member, struct turbotap_copy *list, uint32_t count);
extern "Python+C" int fake_listen(int member, uint32_t port, uint32_t frames, uint32_t microseconds);
"""


def ffibuilder() -> FFI:
    made_of = ["tests/native/crossing_fake.c" if source == CALLS else source for source in sources()]
    builder = extension("_ttfwd_test", ALL_HEADERS, declarations(ALL_HEADERS), made_of)
    builder.cdef(FAKE_CALLS)
    return builder


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

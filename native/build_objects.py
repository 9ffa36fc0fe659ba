# SPDX-License-Identifier: Apache-2.0
"""A build_ext of setuptools that compiles only what has changed, on all CPUs.

A source is compiled again only when it or a file that it includes has changed. The compiler lists these
files beside each object (-MD). Objects stay in build/objects, in one folder for each set of compiler
options, so that a sanitized build never takes the objects of a plain one. Extensions made of the same sources
share their objects. A program for the kernel (*.bpf.c) is compiled by clang, and linked in as bytes.
"""

import copy
import os
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from setuptools import Extension
from setuptools.command.build_ext import build_ext

from native import build_bpf

OBJECTS = Path("build", "objects")


def is_current(made: Path) -> bool:
    """Is this object newer than every file that it was made from?"""
    try:
        rule = made.with_suffix(".d").read_text().replace("\\\n", " ")
        made_from = rule.partition(":")[2].split()
        # Without a list (a compiler that was killed left an empty file) nothing is known of the object.
        newest = max((os.stat(path).st_mtime_ns for path in made_from), default=None)
        return newest is not None and newest < made.stat().st_mtime_ns
    except FileNotFoundError:
        return False


class BuildObjects(build_ext):
    """build_ext, but only what has changed is compiled, and on all CPUs."""

    def finalize_options(self) -> None:
        super().finalize_options()
        self.force = True  # is_current() decides.
        self.build_temp = str(OBJECTS)

    def build_extension(self, ext: Extension) -> None:
        compiler = self.compiler
        options = [*ext.extra_compile_args, "-MD"]
        everything = [
            compiler.compiler_so,
            compiler.include_dirs,
            ext.include_dirs,
            ext.define_macros,
            options,
        ]
        folder = str(OBJECTS / f"{zlib.crc32(repr(everything).encode()):08x}")

        def compiled(source: str) -> str:
            if source.endswith(build_bpf.SUFFIX):
                return build_bpf.embedded(source, folder, is_current)
            (made,) = compiler.object_filenames([source], output_dir=folder)
            if not is_current(Path(made)):
                compiler.compile(
                    [source],
                    output_dir=folder,
                    macros=ext.define_macros,
                    include_dirs=ext.include_dirs,
                    extra_postargs=options,
                )
            return str(made)

        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
            objects = list(pool.map(compiled, ext.sources))
        linked = copy.copy(ext)
        linked.sources, linked.extra_objects = [], objects
        super().build_extension(linked)

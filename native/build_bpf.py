# SPDX-License-Identifier: Apache-2.0
"""Compiles a BPF program, and makes an object file that holds the compiled one as bytes.

So the extension carries its programs: nothing has to be found at run time. The bytes of native/tester/x.bpf.c
lie between the symbols _binary_x_bpf_o_start and _binary_x_bpf_o_end.
"""

import os
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Callable
from pathlib import Path

SUFFIX = ".bpf.c"
_NEWEST_FIRST = ("clang", *(f"clang-{version}" for version in range(25, 13, -1)))
# -g: libbpf reads the maps' definitions from BTF; its macros for them aren't ISO C. v3: atomic operations
# return the old value.
_OPTIONS = ["-target", "bpf", "-mcpu=v3", "-ffreestanding", "-O2", "-g"]
_WARNINGS = ["-Wall", "-Wextra", "-Wshadow", "-Wpedantic", "-Wno-language-extension-token"]


def clang() -> str | None:
    """A clang that can compile for BPF, the default one first."""
    return next((found for name in _NEWEST_FIRST if (found := shutil.which(name))), None)


def _system_headers() -> tuple[str, ...]:
    """<linux/...> needs <asm/...>, which clang looks for in a folder of the target only: BPF has none."""
    triplet = sysconfig.get_config_var("MULTIARCH")
    return ("-idirafter", f"/usr/include/{triplet}") if triplet else ()


def command(source: str | Path) -> list[str]:
    """How a program is compiled; the output is the caller's to name."""
    compiler = clang()
    assert compiler, "the caller looked for it"
    errors = ["-Werror"] if os.environ.get("TTFWD_WERROR") == "1" else []
    options = [*_OPTIONS, *_WARNINGS, *errors, *_system_headers()]
    return [compiler, *options, "-I", "native", "-c", str(source)]


def embedded(source: str, folder: str, is_current: Callable[[Path], bool]) -> str:
    """The object file, in `folder`. Only what isn't current is made again."""
    program = Path(folder, re.sub(r"\.c$", ".o", source))
    program.parent.mkdir(parents=True, exist_ok=True)
    embedding = program.with_suffix(".embedded.o")
    if not (is_current(program) and embedding.exists()):
        embedding.unlink(missing_ok=True)
        subprocess.run([*command(source), "-MD", "-o", str(program)], check=True)
        # ld makes the symbols' names of the file's, as it is given.
        subprocess.run(
            ["ld", "-r", "-b", "binary", "-z", "noexecstack", "-o", embedding.name, program.name],
            cwd=program.parent,
            check=True,
        )
    return str(embedding)

# SPDX-License-Identifier: Apache-2.0
"""Builds the debug kernel below build/kmod-debug: Debian's source with the options of kernel.config.

Debian's own kernels have none of these checks, as they make a kernel several times slower. A build takes
about 25 minutes of CPU time. It is repeated only when kernel.config or the source package changes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests.kmod.kernels import ROOT

# The package linux-source-6.12.
SOURCE = Path("/usr/src/linux-source-6.12.tar.xz")
CONFIG = Path(__file__).with_name("kernel.config")
FOLDER = ROOT / "build" / "kmod-debug"
TREE = FOLDER / "linux"
IMAGE = TREE / "arch" / "x86" / "boot" / "bzImage"

_MADE_OF = FOLDER / "made-of"


class DebugKernelError(Exception):
    """The debug kernel can't be built; the text says why."""


def _make(*arguments: str) -> None:
    # This keeps every CPU busy for half an hour, so give it the lowest priority.
    command = ["nice", "-n", "19", "make", "-s", "-C", str(TREE), "ARCH=x86_64", f"-j{os.cpu_count()}"]
    if subprocess.run([*command, *arguments]).returncode:
        raise DebugKernelError(f"make {' '.join(arguments)} failed in {TREE}")


def _options(path: Path) -> set[str]:
    return {line for line in path.read_text().splitlines() if line.startswith("CONFIG_")}


def build() -> Path:
    """Build the kernel, unless it is built from this configuration and source: the tree of the build."""
    if not SOURCE.is_file():
        raise DebugKernelError(f"missing: {SOURCE}, of Debian's linux-source-6.12")
    made_of = f"{SOURCE.stat().st_mtime_ns} {SOURCE.stat().st_size}\n{CONFIG.read_text()}"
    if _MADE_OF.is_file() and _MADE_OF.read_text() == made_of:
        return TREE
    if not TREE.is_dir() or not _MADE_OF.is_file() or _MADE_OF.read_text().split("\n")[0] not in made_of:
        shutil.rmtree(TREE, ignore_errors=True)
        TREE.mkdir(parents=True)
        subprocess.run(["tar", "-xJf", SOURCE, "-C", TREE, "--strip-components=1"], check=True)
    _make(f"KCONFIG_ALLCONFIG={CONFIG}", "allnoconfig")
    # kconfig silently drops an option that depends on one that is off.
    if dropped := _options(CONFIG) - _options(TREE / ".config"):
        raise DebugKernelError(f"not in this kernel's .config: {', '.join(sorted(dropped))}")
    _make("bzImage", "modules")
    _MADE_OF.write_text(made_of)
    return TREE

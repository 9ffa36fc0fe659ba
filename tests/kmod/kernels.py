# SPDX-License-Identifier: Apache-2.0
"""The kernels that the module is built for and run on, and the module built for each of them.

Used by the tests of this folder and by the benchmark of the module. The kernels are Debian's, one of each
series that Debian 12 has: `make test` installs the headers of both, and fetch.sh unpacks the images. A build
takes place in a copy, so that builds for several kernels never meet and the source tree stays as it is.
"""

from __future__ import annotations

import fcntl
import re
import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

from tests.support.capabilities import missing

ROOT = Path(__file__).resolve().parents[2]
MODULE = ROOT / "kmod"
# Files that a build leaves in the source tree.
BUILT = shutil.ignore_patterns(
    "*.o", "*.ko", "*.ko.xz", "*.mod", "*.mod.c", ".*.cmd", ".*.d", "Module.symvers", "modules.order"
)
UNPACKED = ROOT / "build" / "kernels"
SERIES = ("6.1", "6.12")


@dataclass(frozen=True)
class Kernel:
    """One installed kernel: `release` as uname -r says it, image to boot, headers to build against."""

    release: str
    image: Path
    headers: Path

    @property
    def series(self) -> str:
        return ".".join(self.release.split(".")[:2])


def _version(release: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", release)]


def of_series(series: str) -> Kernel:
    """The newest installed kernel of a series, 6.1 or 6.12. Without one, the test is skipped, by name."""
    kernels = []
    for headers in Path("/usr/src").glob("linux-headers-*-amd64"):
        release = headers.name.removeprefix("linux-headers-")
        for root in (Path("/"), UNPACKED / release):
            kernels.append(Kernel(release, root / "boot" / f"vmlinuz-{release}", headers))
    found = [kernel for kernel in kernels if kernel.series == series and kernel.image.is_file()]
    if not found:
        missing(f"a {series} kernel of Debian's, image and headers")
    return max(found, key=lambda kernel: _version(kernel.release))


def make(headers: Path, copy: Path, *arguments: str) -> str:
    """Build the module against `headers` in `copy`, a new folder. Returns make's output.

    `arguments` go to make (W=1, C=2). Raises AssertionError, with the output, when the build fails.
    """
    shutil.copytree(MODULE, copy, ignore=BUILT)
    done = subprocess.run(
        ["make", "-C", copy, f"KDIR={headers}", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@dataclass(frozen=True)
class Build:
    """A copy of kmod/ that was built with W=1 and C=2 (sparse), the module, and what make printed."""

    kernel: Kernel
    copy: Path
    module: Path
    printed: str


def build_once(kernel: Kernel, shared: Path) -> Build:
    """The build in folder `shared`. The first process that asks for it makes it: that takes half a minute."""
    if not shutil.which("sparse"):
        missing("sparse")
    folder = shared / f"turbotap-{kernel.release}"
    folder.mkdir(exist_ok=True)
    build = Build(kernel, folder / "kmod", folder / "turbotap.ko", "")
    output = folder / "make.txt"
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not output.exists():
            shutil.rmtree(build.copy, ignore_errors=True)  # of a build that failed
            printed = make(kernel.headers, build.copy, "W=1", "C=2")
            shutil.copy(build.copy / "turbotap.ko", build.module)
            output.write_text(printed)
    return replace(build, printed=output.read_text())


def build(kernel: Kernel, into: Path) -> Path:
    """The module built for `kernel` in a new folder below `into`: the path of its turbotap.ko."""
    copy = into / f"turbotap-{kernel.release}"
    make(kernel.headers, copy)
    return copy / "turbotap.ko"

# SPDX-License-Identifier: Apache-2.0
"""The module builds for each supported kernel without a warning, and installs by make and by DKMS."""

from __future__ import annotations

import re
import shutil
import subprocess
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.kmod.kernels import BUILT, MODULE, ROOT, SERIES, Build, Kernel, build_once, of_series
from tests.support.capabilities import missing

_CHECKPATCH = ROOT / "build" / "checkpatch" / "checkpatch.pl"
_SOURCES = sorted(MODULE.rglob("*.[ch]"))


@pytest.fixture(params=SERIES, scope="module")
def kernel(request: pytest.FixtureRequest) -> Kernel:
    return of_series(request.param)


@pytest.fixture(scope="module")
def built(kernel: Kernel, builds: Path) -> Build:
    return build_once(kernel, builds)


def _run(*command: str | Path) -> str:
    """Run a command that must succeed: its stdout and stderr. Skips the test if it isn't installed."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    except FileNotFoundError:
        missing(str(command[0]))
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_neither_compiler_nor_sparse_complains(built: Build) -> None:
    # The kernel's headers cause warnings, too. A warning about the module begins with one of its files.
    about_the_module = re.compile(rf"{re.escape(str(built.copy))}/\S+?:\d+:|\S*turbotap\S*: warning:")
    assert [line for line in built.printed.splitlines() if about_the_module.match(line)] == []
    for source in built.copy.glob("*.c"):
        if not source.name.endswith(".mod.c"):
            assert f"CHECK   {source}" in built.printed


def test_object_files_depend_on_each_other_without_a_cycle(built: Build) -> None:
    """So each file can be read with only the files that it uses."""
    defined: dict[str, str] = {}
    used: dict[str, set[str]] = {}
    for name in (f"{source.stem}.o" for source in MODULE.glob("*.c")):
        printed = _run("nm", "--extern-only", "--format=posix", built.copy / name)
        symbols = [line.split()[:2] for line in printed.splitlines()]
        defined |= {symbol: name for symbol, kind in symbols if kind != "U"}
        used[name] = {symbol for symbol, kind in symbols if kind == "U"}
    graph = {name: {defined[symbol] for symbol in used[name] & defined.keys()} for name in used}
    assert graph["main.o"] == {"argument.o", "crossing.o", "socket.o"}
    TopologicalSorter(graph).prepare()  # raises CycleError


def test_make_install_puts_everything_where_it_is_looked_for(built: Build, tmp_path: Path) -> None:
    make = ["make", "-C", str(built.copy), f"KDIR={built.kernel.headers}"]
    _run(*make, "W=1", "install", f"DESTDIR={tmp_path}")
    installed = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    modules = [name for name in installed if "/turbotap.ko" in name]
    assert len(modules) == 1
    assert modules[0].startswith(f"lib/modules/{built.kernel.release}/")
    assert "usr/lib/udev/rules.d/60-turbotap.rules" in installed
    assert "usr/lib/modules-load.d/turbotap.conf" in installed

    _run(*make, "clean")
    sources = tmp_path / "sources"
    shutil.copytree(MODULE, sources, ignore=BUILT)
    assert {path.name for path in built.copy.rglob("*")} == {path.name for path in sources.rglob("*")}


# Of one kernel, as a build takes long: what dkms does with the tree is the same for each.
@pytest.mark.parametrize("kernel", SERIES[:1], indirect=True)
def test_dkms_builds_and_installs_it(kernel: Kernel, tmp_path: Path) -> None:
    """Debian's dkms builds a source tree with the name of kmod/README.md, and installs a loadable module."""
    sources = tmp_path / "src"
    shutil.copytree(MODULE, sources / "turbotap-1", ignore=BUILT)
    # Empty folders hide those of the machine: dkms keeps trees and a signing key in /var/lib/dkms, and
    # installs into /lib/modules.
    script = """
        mount -t tmpfs none /var/lib/dkms
        mount -t tmpfs none /lib/modules
        mkdir "/lib/modules/$release"
        ln -s "$headers" "/lib/modules/$release/build"
        dkms install turbotap/1 --sourcetree "$sources" -k "$release"
        dkms status --sourcetree "$sources"
        find /lib/modules -name 'turbotap.ko*' -exec modinfo {} +
    """
    values = [f"release={kernel.release}", f"headers={kernel.headers}", f"sources={sources}"]
    _run("dkms", "--version")
    printed = _run("unshare", "--mount", "env", *values, "sh", "-euc", script)
    assert re.search(rf"^turbotap/1, {re.escape(kernel.release)}, \w+: installed", printed, re.MULTILINE), (
        printed
    )
    facts = dict(re.findall(r"^(\w+): +(.*)$", printed, re.MULTILINE))
    assert facts["filename"].startswith(f"/lib/modules/{kernel.release}/updates/dkms/turbotap.ko")
    assert facts["license"] == "GPL"
    assert facts["depends"] == "tun"
    assert facts["vermagic"].split()[0] == kernel.release
    assert facts["version"] == "1"


@pytest.mark.parametrize("source", _SOURCES, ids=lambda path: str(path.relative_to(MODULE)))
def test_kernel_style(source: Path) -> None:
    if not _CHECKPATCH.is_file():
        missing("checkpatch.pl")
    _run("perl", _CHECKPATCH, "--no-tree", "--strict", "--terse", "--no-summary", "--file", source)

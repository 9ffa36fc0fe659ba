# SPDX-License-Identifier: Apache-2.0
"""A small Debian package of ttfwd for tests of the collection, made in a second.

It has the units of deploy/ and a link to the tested `ttfwd`, where the real one has a program of its own:
`make packages` takes minutes. The hosts see the tested one, as they share this machine's files.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.support.commands import run
from tests.support.instance import TTFWD
from tests.support.service_host import DROP_IN, ROOT, ServiceHost

_CONTROL = """\
Package: {name}
Version: {version}
Architecture: amd64
Maintainer: The ttfwd developers <ttfwd@lists.example.org>
Description: of a test
"""
_UNITS = Path("lib/systemd/system")


def package(directory: Path, version: str, program: str | None = None) -> Path:
    """The package, in the directory. `program`: a script in place of ttfwd."""
    tree = directory / f"tree-{version}"
    for unit in (ROOT / "deploy").glob("*.service"):
        _write(tree / _UNITS / unit.name, unit.read_text().replace("/usr/local/bin/ttfwd", "/usr/bin/ttfwd"))
    if DROP_IN:
        for name in ("ttfwd@", "ttfwd-exporter"):
            _write(tree / _UNITS / f"{name}.service.d/program.conf", DROP_IN)
    command = tree / "usr/bin/ttfwd"
    command.parent.mkdir(parents=True)
    if program is None:
        command.symlink_to(TTFWD)
    else:
        command.write_text(program)
        command.chmod(0o755)
    return _built(tree, "ttfwd", version)


def debian_package(directory: Path, name: str, version: str, files: Mapping[str, str]) -> Path:
    """A package of these files, by path and text, in the directory."""
    tree = directory / f"tree-{name}-{version}"
    for path, text in files.items():
        _write(tree / path, text)
    return _built(tree, name, version)


def _built(tree: Path, name: str, version: str) -> Path:
    """The package of a tree, beside it."""
    _write(tree / "DEBIAN/control", _CONTROL.format(name=name, version=version))
    made = tree.with_name(f"{name}_{version}_amd64.deb")
    run("dpkg-deb", "--build", "--root-owner-group", tree, made)
    return made


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def make_bare(host: ServiceHost) -> None:
    """Take away what a host of the tests has of ttfwd."""
    host.run("sh", "-c", "rm -rf /etc/systemd/system/ttfwd* /usr/bin/ttfwd /usr/local/bin/ttfwd /etc/ttfwd")
    host.systemctl("daemon-reload")

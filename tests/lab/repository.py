# SPDX-License-Identifier: Apache-2.0
"""Signed apt repositories in folders, and Debian's packages for hosts that can't reach Debian."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.capabilities import missing
from tests.support.commands import run
from tests.support.service_host import ROOT, ServiceHost

SUITE = "stable"
_INDEX = "main/binary-amd64/Packages"
_SIGNER = "lab-test"


def repository(folder: Path, packages: Iterable[Path]) -> str:
    """Copy the packages into the folder, and sign them with a new key: its public part."""
    pool, suite = folder / "pool", folder / "dists" / SUITE
    pool.mkdir(parents=True)
    for package in packages:
        (pool / package.name).write_bytes(package.read_bytes())
    index = suite / _INDEX
    index.parent.mkdir(parents=True)
    index.write_text(run("dpkg-scanpackages", "--multiversion", "pool", cwd=folder, timeout_s=300).stdout)
    content = index.read_bytes()
    (suite / "Release").write_text(
        f"Suite: {SUITE}\nCodename: {SUITE}\nArchitectures: amd64\nComponents: main\n"
        f"Date: {run('date', '--utc', '+%a, %d %b %Y %H:%M:%S UTC').stdout}"
        f"SHA256:\n {hashlib.sha256(content).hexdigest()} {len(content)} {_INDEX}\n"
    )
    # Sockets of gpg's agent need a short path.
    with tempfile.TemporaryDirectory(prefix="ttfwd-gpg-") as home:
        gpg = ("gpg", "--homedir", home, "--batch", "--quiet")
        run(*gpg, "--passphrase", "", "--quick-generate-key", _SIGNER, "ed25519", "sign", "never")
        run(*gpg, "--clearsign", "--output", suite / "InRelease", suite / "Release")
        key = run(*gpg, "--armor", "--export", _SIGNER).stdout
        run("gpgconf", "--homedir", home, "--kill", "all")
    return key


@contextmanager
def downloaded(*packages: str) -> Iterator[list[Path]]:
    """Debian's packages, where hosts see them."""
    with tempfile.TemporaryDirectory(dir=ROOT / "build") as directory:
        got = run("apt-get", "download", *packages, code=None, cwd=directory)
        if got.returncode:
            missing(f"Debian's packages {', '.join(packages)}: {got.stderr.strip()}")
        yield list(Path(directory).glob("*.deb"))


@contextmanager
def source_of(packages: Iterable[Path]) -> Iterator[dict[str, str]]:
    """A repository of these packages where hosts see it, as an inventory names it."""
    with tempfile.TemporaryDirectory(dir=ROOT / "build") as folder:
        key = repository(Path(folder), packages)
        yield {"uris": f"file:{folder}", "suites": SUITE, "signed_by": key}


def know_no_repository(host: ServiceHost) -> None:
    """It forgets this machine's, which it can't reach, and has what Ansible needs to name another one."""
    with downloaded("python3-debian", "python3-chardet") as packages:
        host.run("dpkg", "--install", *packages)
    host.run("sh", "-c", "rm -rf /etc/apt/sources.list /etc/apt/sources.list.d/*")
    # apt's own user may not read below every folder of this machine.
    host.run("sh", "-c", "echo 'APT::Sandbox::User \"root\";' >/etc/apt/apt.conf.d/as-root")

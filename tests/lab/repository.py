# SPDX-License-Identifier: Apache-2.0
"""A signed apt repository in a folder."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable
from pathlib import Path

from tests.support.commands import run

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

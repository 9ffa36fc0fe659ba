# SPDX-License-Identifier: Apache-2.0
"""The collection is as ansible-lint asks, and can be built and installed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.lab.collection import SOURCE, ansible_environment
from tests.support.commands import run

pytestmark = pytest.mark.timeout(600)


def test_ansible_lint_finds_nothing(tmp_path: Path) -> None:
    environment = {**ansible_environment(tmp_path), "ANSIBLE_COLLECTIONS_PATH": str(tmp_path / "collections")}
    done = run(
        "ansible-lint", "--offline", "-q", "--nocolor", code=None, timeout_s=500, cwd=SOURCE, env=environment
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_is_installed_whole(tmp_path: Path) -> None:
    """Files that it shares with the rest of the source tree are in it."""
    galaxy = [sys.executable, "-m", "ansible", "galaxy", "collection"]
    environment = ansible_environment(tmp_path)
    run(*galaxy, "build", "--output-path", tmp_path, SOURCE, env=environment)
    (built,) = tmp_path.glob("ttfwd-lab-*.tar.gz")
    run(*galaxy, "install", "--force", "--offline", "-p", tmp_path / "to", built, env=environment)
    files = tmp_path / "to/ansible_collections/ttfwd/lab/roles/monitoring/files"
    for name, source in (("ttfwd.rules.yml", "prometheus"), ("ttfwd.json", "grafana")):
        assert (files / name).read_bytes() == (SOURCE.parent / source / name).read_bytes()
        assert not (files / name).is_symlink()

# SPDX-License-Identifier: Apache-2.0
"""What the role host_tuning installs: settings are applied, checked and taken back."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.commands import run

ROLE = Path(__file__).resolve().parents[2] / "deploy/ansible/roles/host_tuning"


class Host:
    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "settings").write_text(
            f"# a comment\n{root}/irq/*/affinity 0,1\n{root}/thp never\n{root}/governor performance\n"
        )
        for irq in ("1", "2"):
            self.write(f"irq/{irq}/affinity", "0-3")
        self.write("thp", "always [madvise] never")

    def write(self, name: str, text: str) -> None:
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        (self.root / name).write_text(f"{text}\n")

    def read(self, name: str) -> str:
        return (self.root / name).read_text().strip()

    def tuning(self, action: str, code: int = 0) -> str:
        script = ROLE / "files/ttfwd-tuning"
        return run("sh", script, action, self.root / "settings", self.root / "state", code=code).stdout


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


@pytest.mark.slow
def test_settings_are_applied_and_taken_back(host: Host) -> None:
    assert host.tuning("apply") == f"{host.root}/governor: this host has none\n"
    assert [host.read(name) for name in ("irq/1/affinity", "irq/2/affinity", "thp")] == [
        "0,1",
        "0,1",
        "never",
    ]
    assert host.tuning("check") == ""
    host.tuning("apply")  # the values before are still the first ones
    host.tuning("restore")
    assert [host.read(name) for name in ("irq/1/affinity", "irq/2/affinity")] == ["0-3", "0-3"]
    assert host.read("thp") == "madvise"  # of several words, the one that was in force
    assert not (host.root / "state").exists()


def test_a_setting_that_changed_meanwhile_is_named(host: Host) -> None:
    host.tuning("apply")
    host.write("irq/2/affinity", "3")
    assert host.tuning("check", code=1) == f"{host.root}/irq/2/affinity is 3, not 0,1\n"


def test_what_the_host_refuses_is_said_and_the_rest_is_applied(host: Host) -> None:
    (host.root / "thp").unlink()
    (host.root / "thp").mkdir()  # can't be written, not even by root
    assert f"{host.root}/thp: stays" in host.tuning("apply")
    assert host.read("irq/1/affinity") == "0,1"
    assert host.tuning("check") == ""


def test_nothing_applied_is_no_success(host: Host) -> None:
    assert host.tuning("check", code=1) == "no setting is in force\n"
    host.tuning("restore")

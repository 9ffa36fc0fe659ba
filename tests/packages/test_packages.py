# SPDX-License-Identifier: Apache-2.0
"""The packages in a fresh Debian: installed, started, upgraded, purged; and the wheel without them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.packages.fresh import Fresh, fresh

pytestmark = pytest.mark.timeout(1800)

PACKAGES = Path(os.environ.get("TTFWD_PACKAGES", "dist"))


def package(pattern: str) -> Path:
    (found,) = PACKAGES.glob(pattern)
    return found


@pytest.fixture(scope="module")
def debian(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fresh]:
    with fresh(tmp_path_factory.mktemp("debian") / "root") as made:
        for each in PACKAGES.iterdir():
            shutil.copy(each, made.root / "root")
        yield made


def newer(folder: Path) -> Path:
    """The package of ttfwd once more, of a later version, built from something else."""
    tree = folder / "tree"
    subprocess.run(["dpkg-deb", "--raw-extract", package("ttfwd_*.deb"), tree], check=True)
    control = tree / "DEBIAN" / "control"
    control.write_text(re.sub(r"^Version: .*$", "Version: 99-1", control.read_text(), flags=re.MULTILINE))
    (source,) = tree.glob("opt/ttfwd/lib/*/site-packages/forwarder/built_from.txt")
    source.write_text("an upgrade\n")
    subprocess.run(
        ["dpkg-deb", "--build", "--root-owner-group", tree, folder / "ttfwd_99-1_amd64.deb"], check=True
    )
    return folder / "ttfwd_99-1_amd64.deb"


def pings(debian: Fresh) -> None:
    """Packets cross the instance of configs/4q.toml, and it counts them."""
    debian.run("ip", "netns", "exec", "left", "ping", "-c", "3", "-w", "60", "10.77.0.2")
    sent = json.loads(debian.run("ttfwd", "stats", "--json"))["total"]["tx_packets"]
    assert sent >= 6


def test_it_is_installed_started_upgraded_and_purged(debian: Fresh, tmp_path: Path) -> None:
    debian.apt_get("install", f"/root/{package('ttfwd_*.deb').name}", "iproute2", "iputils-ping", "man-db")
    version = package("ttfwd_*.deb").name.split("_")[1].partition("-")[0]
    assert re.match(
        rf"ttfwd {version} \(ABI \d+\), built from (commit|a source tree)", debian.run("ttfwd", "--version")
    )
    assert "Ctrl-C drains and removes it." in debian.run("man", "ttfwd-start")
    assert "ring_slots" in debian.run("man", "ttfwd.toml")
    assert "_ttfwd_completion" in debian.run("cat", "/usr/share/bash-completion/completions/ttfwd")
    for unit in ("ttfwd@.service", "ttfwd-exporter.service"):
        assert "ExecStart=/usr/bin/ttfwd " in debian.run("cat", f"/lib/systemd/system/{unit}")

    debian.run("sed", "-i", "s/^batch = 64/batch = 32/", "/etc/ttfwd/4q.toml")
    debian.run("ttfwd", "start", "--detach", "-c", "/etc/ttfwd/4q.toml")
    pings(debian)

    shutil.copy(newer(tmp_path), debian.root / "root")
    debian.apt_get("install", "/root/ttfwd_99-1_amd64.deb")
    assert "built from an upgrade" in debian.run("ttfwd", "--version")
    assert "batch = 32" in debian.run("cat", "/etc/ttfwd/4q.toml")
    pings(debian)  # by the instance that was running
    debian.run("ttfwd", "stop")
    debian.run("ttfwd", "start", "--detach", "-c", "/etc/ttfwd/4q.toml")
    pings(debian)
    debian.run("ttfwd", "stop")

    debian.apt_get("purge", "--auto-remove", "ttfwd")
    not_its_own = ("/root/", "/var/cache/man/")
    assert [name for name in debian.named("*ttfwd*") if not name.startswith(not_its_own)] == []


def test_dkms_builds_the_module_and_takes_it_away_again(debian: Fresh) -> None:
    debian.apt_get("install", "linux-headers-amd64", f"/root/{package('ttfwd-dkms_*.deb').name}")
    (module,) = (name for name in debian.named("turbotap.ko*") if "/updates/dkms/" in name)
    assert re.search(r"^depends: +tun$", debian.run("modinfo", module), re.MULTILINE)
    debian.run("getent", "group", "turbotap")  # of the udev rule
    debian.apt_get("purge", "--auto-remove", "ttfwd-dkms")
    assert debian.named("*turbotap*") == []


def test_the_wheel_needs_no_library_of_the_machine(debian: Fresh, tmp_path: Path) -> None:
    wheel = package("ttfwd-*manylinux*.whl")
    wheels = debian.root / "root" / "wheels"
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--wheel-dir"]
    subprocess.run([*pip, str(wheels), f"{wheel}[bench]"], check=True)
    debian.apt_get("install", "python3-venv", "iproute2", "iputils-ping")
    assert debian.named("liburing.so*") == []
    debian.run("python3", "-m", "venv", "/root/venv")
    debian.run("/root/venv/bin/pip", "install", "--no-index", "--find-links", "/root/wheels", "ttfwd[bench]")
    debian.run("ln", "-s", "/root/venv/bin/ttfwd", "/usr/local/bin/ttfwd")
    shutil.copy(Path(__file__).parents[2] / "configs" / "4q.toml", debian.root / "root")
    debian.run("ttfwd", "start", "--detach", "-c", "/root/4q.toml")
    pings(debian)
    debian.run("ttfwd", "stop")

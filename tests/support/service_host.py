# SPDX-License-Identifier: Apache-2.0
"""A host whose PID 1 is systemd, for tests of units: in namespaces of its own, made of this machine's files.

    with service_host({"etc/ttfwd/4q.toml": "..."}) as host:
        host.systemctl("start", "ttfwd@4q")

It has the units of deploy/ and the tested `ttfwd`, under the names that the units use. What it writes is gone
with it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from tests.support.capabilities import missing, require_root, require_tun
from tests.support.commands import run, unique
from tests.support.instance import TTFWD
from tests.support.wait import wait_until

ROOT = Path(__file__).resolve().parents[2]
_SYSTEMD = Path("/lib/systemd/systemd")
_UNITS = Path("etc/systemd/system")
# What the tested ttfwd is made of.
_PROGRAM = tuple(dict.fromkeys((str(ROOT), sys.prefix, sys.base_prefix)))
# The units hide home directories and /tmp. Where the program is in one, they must leave it that alone.
_HIDDEN = [path for path in _PROGRAM if path.startswith(("/home/", "/root/", "/tmp/", "/var/tmp/"))]
DROP_IN = f"[Service]\nProtectHome=tmpfs\nBindReadOnlyPaths={' '.join(_HIDDEN)}\n" if _HIDDEN else ""
_SCRIPT = Path(__file__).with_name("service_host.sh")


class ServiceHost:
    def __init__(self, pid: int) -> None:
        self.pid = pid  # of its systemd, as this machine numbers it

    def run(self, *command: str | Path, code: int | None = 0) -> str:
        """Run a command there, and return its output."""
        enter = ("nsenter", "-t", str(self.pid), "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup")
        return run(*enter, *command, code=code).stdout

    def systemctl(self, *words: str, code: int | None = 0) -> str:
        return self.run("systemctl", "--no-pager", *words, code=code).strip()

    def shows(self, unit: str, name: str) -> str:
        """A property of a unit."""
        return self.systemctl("show", "--value", "--property", name, unit)

    def processes(self, unit: str) -> list[str]:
        """The pids of a unit's processes, as the host numbers them."""
        return self.run("cat", f"/sys/fs/cgroup{self.shows(unit, 'ControlGroup')}/cgroup.procs").split()

    def journal(self, unit: str, *matches: str) -> list[dict[str, Any]]:
        """What the journal has of a unit, of lines with these fields, oldest first."""
        self.run("journalctl", "--sync")
        lines = self.run("journalctl", "--no-pager", "-o", "json", "-u", unit, *matches).splitlines()
        return [json.loads(line) for line in lines]

    def messages(self, unit: str) -> str:
        return "\n".join(str(line.get("MESSAGE")) for line in self.journal(unit))

    def stats(self, instance: str) -> dict[str, Any]:
        found = json.loads(self.run("ttfwd", "stats", "--json", "--name", instance))
        assert isinstance(found, dict)
        return found

    def wait(self, unit: str, state: str) -> None:
        wait_until(lambda: self.shows(unit, "ActiveState") == state, f"{unit} is {state}")


@contextmanager
def service_host(files: Mapping[str, str], enabled: Sequence[str] = ()) -> Iterator[ServiceHost]:
    """`files`: what to add, by path. `enabled`: the units that start at boot. Yields once the host is up."""
    require_root()
    require_tun()
    if not _SYSTEMD.exists():
        missing("systemd")
    cgroups = _cgroups() / unique("ttfwd-host")
    directory = Path(tempfile.mkdtemp(prefix="ttfwd-test-"))
    try:
        _make(cgroups)
        (directory / "host").mkdir()
        _write(directory / "root.d", files, enabled)
        with (directory / "log").open("wb") as log:
            unshare = subprocess.Popen(
                _command(cgroups, directory), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        try:
            yield _booted(unshare)
        except BaseException as error:
            error.add_note((directory / "log").read_text())
            raise
        finally:
            unshare.kill()  # and with it PID 1, and every process and mount of the host
            unshare.wait()
    finally:
        _remove_cgroups(cgroups)
        shutil.rmtree(directory)


def _write(directory: Path, files: Mapping[str, str], enabled: Sequence[str]) -> None:
    """The files that the host has and this machine hasn't."""
    units = {str(_UNITS / unit.name): unit.read_text() for unit in (ROOT / "deploy").glob("*.service")}
    if DROP_IN:
        for unit in ("ttfwd@", "ttfwd-exporter"):
            units[str(_UNITS / f"{unit}.service.d/program.conf")] = DROP_IN
    for path, text in {**units, **files}.items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_text(text)
    wants = directory / _UNITS / "multi-user.target.wants"
    wants.mkdir()
    for unit in enabled:
        template, _, _ = unit.partition("@")
        (wants / unit).symlink_to(f"../{template}@.service")
    command = directory / "usr/local/bin/ttfwd"
    command.parent.mkdir(parents=True)
    command.symlink_to(TTFWD)


def _command(cgroups: Path, directory: Path) -> list[str]:
    """Enter the cgroup, whose namespace then begins there; then the other namespaces."""
    return [
        *("sh", "-c", 'echo $$ >"$0/cgroup.procs" && exec "$@"', str(cgroups)),
        *("unshare", "--mount", "--uts", "--ipc", "--pid", "--net", "--cgroup", "--fork", "--kill-child"),
        *("--propagation", "private", "sh", str(_SCRIPT), str(directory), *_PROGRAM),
    ]


def _booted(unshare: subprocess.Popen[bytes]) -> ServiceHost:
    wait_until(lambda: _systemd_below(unshare) is not None, "systemd runs")
    pid = _systemd_below(unshare)
    assert pid is not None
    host = ServiceHost(pid)
    wait_until(lambda: host.systemctl("is-system-running", code=None) in ("running", "degraded"), "it is up")
    return host


def _systemd_below(unshare: subprocess.Popen[bytes]) -> int | None:
    assert unshare.poll() is None, "the host ended"
    names = {child.pid: child.name() for child in psutil.Process(unshare.pid).children()}
    return next((pid for pid, name in names.items() if name == "systemd"), None)


def _cgroups() -> Path:
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, path, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(path)
    missing("cgroup2")


def _make(cgroup: Path) -> None:
    try:
        cgroup.mkdir()
    except OSError as error:
        missing(f"a cgroup of version 2: {error.strerror}")


def _remove_cgroups(cgroups: Path) -> None:
    """Each can be removed once its processes are gone."""
    wait_until(lambda: _are_removed(cgroups), f"{cgroups} is empty")


def _are_removed(cgroups: Path) -> bool:
    for path, _, _ in os.walk(cgroups, topdown=False):
        with suppress(OSError):
            os.rmdir(path)
    return not cgroups.exists()

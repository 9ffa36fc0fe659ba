# SPDX-License-Identifier: Apache-2.0
"""A fresh Debian 12 in a folder, with processes, mounts and a network of its own."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_RELEASE = "bookworm"
_LONGEST_S = 1800
_PATH = "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ENVIRONMENT = (f"PATH={_PATH}", "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive")
# It is the root of its mount namespace, as `ip netns exec` wants. Of its devices, ttfwd needs the last one.
_INSIDE = """
    mount --bind "$0" "$0"
    cd "$0"
    mount -t proc proc proc
    mount -t sysfs sysfs sys
    mount -t tmpfs -o mode=755 tmpfs run
    mount -t tmpfs -o mode=1777 tmpfs dev/shm
    mkdir -p dev/net
    mknod -m 666 dev/net/tun c 10 200
    ip link set lo up
    pivot_root . mnt
    umount -l /mnt
    echo ready
    exec sleep "$1"
"""


class Fresh:
    """A Debian that runs no services; commands start in it one by one."""

    def __init__(self, root: Path, pid: int) -> None:
        self.root = root
        self._pid = pid

    def run(self, *command: str | Path, online: bool = False) -> str:
        """Run a command that must succeed: its output. `online`: in the network of this machine."""
        namespaces = ["--mount", "--pid"] + ([] if online else ["--net"])
        entered = ["nsenter", "--target", str(self._pid), *namespaces, "env", "-i", *_ENVIRONMENT]
        done: subprocess.CompletedProcess[str] = subprocess.run(
            [*entered, *map(str, command)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_LONGEST_S,
        )
        assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}"
        return done.stdout

    def apt_get(self, *arguments: str) -> str:
        return self.run("apt-get", "-q", "-y", "--no-install-recommends", *arguments, online=True)

    def named(self, *patterns: str) -> list[str]:
        """Every file whose name has one of these patterns."""
        names = [word for pattern in patterns for word in ("-o", "-name", pattern)][1:]
        return sorted(self.run("find", "/", "-xdev", "(", *names, ")").split())


def debian(root: Path, *packages: str) -> None:
    """Make a Debian below `root`, with packages beside the essential ones."""
    include = f"--include={','.join(packages)}"
    subprocess.run(["mmdebstrap", "--quiet", "--variant=apt", include, _RELEASE, root], check=True)
    # It finds its packages where this machine does.
    shutil.copy("/etc/resolv.conf", root / "etc" / "resolv.conf")
    dump = ["apt-config", "dump", '--format=%F "%v";%n']
    settings = subprocess.run(dump, capture_output=True, text=True, check=True).stdout.splitlines()
    lines = [line for line in settings if line.startswith("Acquire::") and '""' not in line]
    (root / "etc" / "apt" / "apt.conf.d" / "of-the-machine").write_text("\n".join(lines) + "\n")
    (root / "etc" / "apt" / "sources.list").unlink()
    for name in ("sources.list", "sources.list.d"):
        if (source := Path("/etc/apt", name)).exists():
            subprocess.run(["cp", "-rT", source, root / "etc" / "apt" / name], check=True)
    subprocess.run(["chroot", root, "apt-get", "-q", "update"], check=True)


@contextmanager
def fresh(root: Path) -> Iterator[Fresh]:
    """Make a Debian below `root`, and end its processes at the end of the block."""
    debian(root, "mount")
    command = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "sh", "-euc", _INSIDE]
    with subprocess.Popen([*command, root, str(_LONGEST_S)], stdout=subprocess.PIPE, text=True) as outer:
        try:
            assert outer.stdout is not None
            assert outer.stdout.readline() == "ready\n"
            (inner,) = Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text().split()
            yield Fresh(root, int(inner))
        finally:
            outer.kill()

# SPDX-License-Identifier: Apache-2.0
"""How a user of the host reaches what this process sees.

A process in a mount namespace of its own (`ip netns exec` makes one) may see files that the host doesn't, and
one in a network namespace of its own has other devices. Then nsenter(1) must stand in front of a command.
The host is where process 1 is. If /proc doesn't show that, this process is taken to be there too.
"""

import os
from pathlib import Path, PurePath

PROC = Path("/proc")


def file(path: PurePath | str) -> str:
    """What stands in front of a command that uses this file: "" or an nsenter with a space behind it."""
    try:
        same = _origin(path, "self") == _origin(path, "1")
    except OSError:
        return ""
    return "" if same else _nsenter("mount")


def devices() -> str:
    """The same for a command that uses the network devices of this process."""
    try:  # each network namespace has its own inodes there
        same = os.path.samestat(os.stat(PROC / "self/net/dev"), os.stat(PROC / "1/net/dev"))
    except OSError:
        return ""
    return "" if same else _nsenter("net")


def _origin(path: PurePath | str, process: str) -> tuple[str, PurePath]:
    """To a process, a path is this file system, and this path in it. Raises OSError."""
    path, above, found = PurePath(path), PurePath("/"), ("", PurePath(path))
    for line in (PROC / process / "mountinfo").read_text().splitlines():
        _, _, device, root, mount_point, *_ = line.split()  # proc(5)
        if path.is_relative_to(mount_point) and PurePath(mount_point).is_relative_to(above):
            above = PurePath(mount_point)
            found = (device, root / path.relative_to(above))
    return found


def _nsenter(namespace: str) -> str:
    pid = os.readlink("/proc/self")  # in the PID namespace of process 1, unlike getpid()
    return f"nsenter --{namespace} --target {pid} "

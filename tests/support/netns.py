# SPDX-License-Identifier: Apache-2.0
"""Private network namespaces for tests. The kernel sends nothing in them on its own."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from forwarder.devices.netns import inside
from tests.support.commands import ip, run, unique

NETNS = Path("/run/netns")


def namespace_exists(name: str) -> bool:
    return (NETNS / name).exists()


def remove_namespace(name: str) -> None:
    """Remove a namespace if it exists, and kill the processes in it: a process would keep it alive."""
    if not namespace_exists(name):
        return
    for pid in run("ip", "netns", "pids", name, code=None).stdout.split():
        with suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
    ip("netns", "delete", name)


@contextmanager
def namespace(name: str | None = None, *, ipv6: bool = False) -> Iterator[str]:
    """A namespace with its loopback up, until the block ends.

    IPv6 is off by default, and no address is set. So the kernel sends nothing on its own, and every counted
    packet is one that the test sent.
    """
    name = name or unique("ns")
    ip("netns", "add", name)
    try:
        with inside(name):
            for where in ("all", "default"):
                Path(f"/proc/sys/net/ipv6/conf/{where}/disable_ipv6").write_text(f"{int(not ipv6)}\n")
        ip("link", "set", "lo", "up", netns=name)
        yield name
    finally:
        remove_namespace(name)


def device_exists(netns: str | None, name: str) -> bool:
    if netns is not None and not namespace_exists(netns):
        return False
    where = ("-n", netns) if netns else ()
    return run("ip", *where, "link", "show", "dev", name, code=None).returncode == 0

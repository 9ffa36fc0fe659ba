# SPDX-License-Identifier: Apache-2.0
"""What "not permitted" means: which capability is missing, and where.

See capabilities(7) and user_namespaces(7).
"""

import fcntl
import os
from pathlib import Path

CAP_NET_ADMIN = 12
CAP_NET_RAW = 13
CAP_SYS_ADMIN = 21
_NAMES = {CAP_NET_ADMIN: "CAP_NET_ADMIN", CAP_NET_RAW: "CAP_NET_RAW", CAP_SYS_ADMIN: "CAP_SYS_ADMIN"}
_NS_GET_USERNS = 0xB701  # linux/nsfs.h


def refusal(capability: int) -> str:
    """Why the kernel refuses what needs this capability over the network namespace that the thread is in."""
    name = _NAMES[capability]
    if not _has(capability):
        return f"not permitted: {name} is missing (run as root, or with {name})"
    if not _owns_network_namespace():
        return (
            f"not permitted: {name} counts in its user namespace, which the network namespace isn't part of"
        )
    return "not permitted, though the process has " + name


def _has(capability: int) -> bool:
    """Whether it is in the effective set of this thread."""
    status = Path("/proc/thread-self/status").read_text()
    effective = next(line for line in status.splitlines() if line.startswith("CapEff:"))
    return bool(int(effective.split()[1], 16) >> capability & 1)


def _owns_network_namespace() -> bool:
    """Whether the network namespace that the thread is in belongs to its user namespace."""
    fd = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        owner = fcntl.ioctl(fd, _NS_GET_USERNS)
    except PermissionError:  # it belongs to an ancestor, or to a stranger
        return False
    finally:
        os.close(fd)
    try:
        return os.path.samestat(os.stat("/proc/thread-self/ns/user"), os.fstat(owner))
    finally:
        os.close(owner)

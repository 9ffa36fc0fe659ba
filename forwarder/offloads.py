# SPDX-License-Identifier: Apache-2.0
"""What a port takes over from the sender of a frame: checksums, and segments to be cut.

A set of offloads is an int of TTF_OFFLOAD_ bits, which are the kernel's TUN_F_ bits (linux/if_tun.h).
"""

from forwarder.native import lib

NAMES = {
    lib.TTF_OFFLOAD_CSUM: "csum",
    lib.TTF_OFFLOAD_TSO4: "tso4",
    lib.TTF_OFFLOAD_TSO6: "tso6",
    lib.TTF_OFFLOAD_TSO_ECN: "ecn",
    lib.TTF_OFFLOAD_USO4: "uso4",
    lib.TTF_OFFLOAD_USO6: "uso6",
}


def names(offloads: int) -> tuple[str, ...]:
    """The names that plan and statistics show, in one order."""
    return tuple(name for bit, name in NAMES.items() if offloads & bit)


def shown(offloads: int) -> str:
    """For a table or a line of log: "csum tso4 ...", or "none"."""
    return " ".join(names(offloads)) or "none"

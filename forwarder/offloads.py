# SPDX-License-Identifier: Apache-2.0
"""The work that a port takes over from the sender of a frame: checksums, and the segmentation of GSO frames.

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
    """The names of the offloads in a set, always in the same order."""
    return tuple(name for bit, name in NAMES.items() if offloads & bit)


def shown(offloads: int) -> str:
    """The names as text for people: "csum tso4 ...", or "none"."""
    return " ".join(names(offloads)) or "none"

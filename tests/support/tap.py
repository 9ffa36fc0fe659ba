# SPDX-License-Identifier: Apache-2.0
"""A tap of the test's own: frames that it writes arrive at a device, offload headers included."""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager

from forwarder.devices.netns import inside
from tests.support.commands import ip
from tests.support.offloads import GSO_UDP, NEEDS_CSUM, vnet_header

_TUNSETIFF, _IFF_TAP, _IFF_NO_PI, _IFF_VNET_HDR = 0x400454CA, 2, 0x1000, 0x4000  # linux/if_tun.h
_IFF_MULTI_QUEUE = 0x0100


@contextmanager
def tap(name: str, netns: str) -> Iterator[int]:
    """The tap's fd. Each frame that is written begins with its virtio_net_hdr."""
    with inside(netns):
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    try:
        flags = _IFF_TAP | _IFF_NO_PI | _IFF_VNET_HDR
        fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH22x", name.encode(), flags))
        ip("link", "set", name, "up", netns=netns)
        yield fd
    finally:
        os.close(fd)


def inexpressible_frame() -> bytes:
    """A frame to be sent in fragments (UFO), which a packet socket's offload header can't express."""
    udp = struct.pack("!HHHH", 1, 2, 3008, 0) + bytes(3000)
    addresses = bytes([10, 0, 0, 1, 10, 0, 0, 2])
    ip4 = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0) + addresses
    ethernet = bytes.fromhex("020000000002 020000000001 0800")
    return vnet_header(NEEDS_CSUM, GSO_UDP, 42, 1000, 34, 6) + ethernet + ip4 + udp


@contextmanager
def multi_queue_tap(
    name: str, netns: str, queues: int, packet_info: bool = False
) -> Iterator[tuple[int, ...]]:
    """The fds of a tap's queues, from which frames can be read without waiting.

    `packet_info`: each frame that is read begins with a struct tun_pi.
    """
    fds: list[int] = []
    try:
        for _ in range(queues):
            with inside(netns):
                fds.append(os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK))
            flags = _IFF_TAP | (_IFF_MULTI_QUEUE if queues > 1 else 0) | (0 if packet_info else _IFF_NO_PI)
            fcntl.ioctl(fds[-1], _TUNSETIFF, struct.pack("16sH22x", name.encode(), flags))
        ip("link", "set", name, "up", netns=netns)
        yield tuple(fds)
    finally:
        for fd in fds:
            os.close(fd)
